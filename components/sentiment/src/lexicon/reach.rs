//! Follows negations and wishes from where they stand to the feelings they reach.

use super::{
    feelings::Feeling,
    tokens::{Kind, Token},
    words::{Role, Word},
};

/// How many words that say something a negation reaches across.
const REACH: usize = 3;
/// How many words back a wish is looked for.
const WISH_REACH: usize = 7;
/// Feelings fainter than this are not worth a mark.
const FAINTEST: f32 = 0.7;

/// Turns negated feelings round and drops those that are only wished for.
pub fn apply(tokens: &[Token<'_>], feelings: &mut Vec<Feeling>) {
    for index in 0..feelings.len() {
        let (earlier, rest) = feelings.split_at_mut(index);
        let Some(feeling) = rest.first_mut().filter(|feeling| feeling.strength != 0.0) else {
            continue;
        };
        let path = Path { tokens, earlier };
        path.relieve(feeling);
        match path
            .negation(feeling)
            .or_else(|| path.nothing_after(feeling))
        {
            Some(negation) => turn_round(feeling, &negation),
            None if path.out_of_reach(feeling) => feeling.strength = 0.0,
            None => {}
        }
        if let Some(wish) = path.wish(feeling) {
            path.only_wished(feeling, wish);
        }
    }
    feelings.retain(|feeling| feeling.strength.abs() >= FAINTEST);
}

/// A negation, and whether it bears on the feeling itself rather than on something done about it.
struct Negation {
    at: usize,
    direct: bool,
}

fn turn_round(feeling: &mut Feeling, negation: &Negation) {
    if feeling.strength > 0.0 {
        feeling.strength = -(0.5 * feeling.strength + 0.6);
    } else if negation.direct {
        // "Not bad" is good, but faintly so.
        feeling.strength *= -0.5;
    } else {
        // "Could not solve the problem" still has the problem.
        return;
    }
    feeling.negation = Some(negation.at);
}

/// The way back from a feeling through the tokens and feelings before it.
struct Path<'a, 't> {
    tokens: &'a [Token<'t>],
    earlier: &'a [Feeling],
}

impl Path<'_, '_> {
    fn text(&self, at: Option<usize>) -> &str {
        at.and_then(|at| self.tokens.get(at))
            .map_or("", |token| &token.text)
    }

    fn word(&self, at: Option<usize>) -> Word {
        at.and_then(|at| self.tokens.get(at))
            .map(Token::word)
            .unwrap_or_default()
    }

    /// The earlier feeling or neutral phrase that a token belongs to.
    fn feeling_at(&self, at: usize) -> Option<&Feeling> {
        self.earlier
            .iter()
            .rev()
            .take_while(|one| one.last >= at)
            .find(|one| one.first <= at)
    }

    /// "The headache is gone" is good, and "my anxiety got better" has no bad feeling to mark.
    fn relieve(&self, feeling: &mut Feeling) {
        if feeling.strength > 0.0 || !self.word(Some(feeling.last + 1)).is(Role::Link) {
            return;
        }
        for at in feeling.last + 2..feeling.last + 6 {
            match self.text(Some(at)) {
                "gone" | "over" => {
                    feeling.last = at;
                    feeling.strength *= -0.8;
                    return;
                }
                "better" | "easier" | "improving" | "less" | "fading" => feeling.strength = 0.0,
                "finally" | "all" | "almost" | "now" | "already" | "slowly" => {}
                _ if self.word(Some(at)).is(Role::Boost) || self.word(Some(at)).is(Role::Skip) => {}
                _ => return,
            }
        }
    }

    fn negation(&self, feeling: &Feeling) -> Option<Negation> {
        let mut reach = REACH;
        for at in (0..feeling.first).rev() {
            let token = self.tokens.get(at)?;
            if token.is_break() {
                let other = at.checked_sub(1).filter(|_| token.text == ",")?;
                return self.shared(self.feeling_at(other)?, other, feeling);
            }
            let word = token.word();
            if let Some(other) = self.feeling_at(at) {
                if other.strength != 0.0 || other.negation.is_some() {
                    return self.shared(other, at, feeling);
                }
                reach = reach.checked_sub(1)?;
                continue;
            }
            if word.is(Role::Not) {
                let found = Negation {
                    at,
                    direct: reach == REACH,
                };
                return (!self.is_spent(&found, feeling)).then_some(found);
            }
            if word.is(Role::Subject) {
                return self.raised(at);
            }
            let joins = matches!(&*token.text, "and" | "or");
            if word.is(Role::Stop) && !(joins && self.joins(at, feeling)) {
                return None;
            }
            let free = joins
                || [Role::Skip, Role::Boost, Role::Damp, Role::Link]
                    .iter()
                    .any(|role| word.is(*role));
            if !free {
                reach = reach.checked_sub(1)?;
            }
        }
        None
    }

    /// Whether "and" or "or" at `at` joins two feelings: "not happy or excited".
    fn joins(&self, at: usize, feeling: &Feeling) -> bool {
        let close = feeling.first - at <= 2;
        close
            && at
                .checked_sub(1)
                .is_some_and(|before| self.feeling_at(before).is_some())
    }

    /// The negation of a feeling that is joined to this one.
    fn shared(&self, other: &Feeling, at: usize, feeling: &Feeling) -> Option<Negation> {
        let link = self.text(Some(at + 1));
        // "Not warm, funny or kind": a comma joins as well, where nothing else stands between.
        let joined = matches!(link, "and" | "or" | "nor") && self.joins(at + 1, feeling)
            || link == "," && at + 2 == feeling.first;
        let negation = other.negation.filter(|_| joined)?;
        Some(Negation {
            at: negation,
            direct: true,
        })
    }

    /// "I don't think it was good": the negation before the verb of thinking.
    fn raised(&self, subject: usize) -> Option<Negation> {
        let mut verb = subject.checked_sub(1);
        if matches!(self.text(verb), "that" | "like" | "if") {
            verb = verb?.checked_sub(1);
        }
        if !self.word(verb).is(Role::Raise) {
            return None;
        }
        let before = verb?.checked_sub(1);
        let negated = self.word(before).is(Role::Not)
            && before.is_some_and(|at| self.feeling_at(at).is_none());
        before
            .filter(|_| negated)
            .map(|at| Negation { at, direct: true })
    }

    /// Whether a word that often negates does not here.
    fn is_spent(&self, negation: &Negation, feeling: &Feeling) -> bool {
        let before = feeling.first.checked_sub(1);
        let (near, own) = (self.text(before), self.text(Some(feeling.first)));
        let strongest =
            negation.direct && feeling.strength > 0.0 && (own.ends_with("er") || near == "more");
        match self.text(Some(negation.at)) {
            // "Less anxious", but "more or less happy" and "nothing less than great".
            "less" => {
                negation.at + 1 != feeling.first || self.text(negation.at.checked_sub(1)) == "or"
            }
            "least" => matches!(self.text(negation.at.checked_sub(1)), "at" | "very"),
            // "Never felt so good", "couldn't be happier", "nothing better".
            "never" => {
                strongest
                    || matches!(near, "so" | "such" | "this")
                    || self.text(before.and_then(|at| at.checked_sub(1))) == "such"
            }
            "couldn't" | "couldnt" | "can't" | "cant" | "nothing" => strongest,
            "not" => strongest && matches!(self.text(negation.at.checked_sub(1)), "could" | "can"),
            // "Haven't been this happy in years", "haven't had this much fun since June".
            "haven't" | "havent" | "hasn't" | "hasnt" | "hadn't" | "hadnt" => {
                matches!(near, "so" | "such" | "this")
                    || near == "much"
                        && matches!(self.text(feeling.first.checked_sub(2)), "so" | "this")
                    || matches!(self.text(Some(feeling.last + 1)), "like" | "so")
            }
            _ => false,
        }
    }

    /// "Too tired to enjoy it": what comes after is out of reach.
    fn out_of_reach(&self, feeling: &Feeling) -> bool {
        let to = feeling.first.checked_sub(1);
        let bad = to
            .and_then(|to| to.checked_sub(1))
            .filter(|_| self.text(to) == "to");
        let too = bad
            .and_then(|at| self.feeling_at(at))
            .and_then(|bad| bad.first.checked_sub(1));
        feeling.strength > 0.0 && too.is_some() && self.text(too) == "too"
    }

    /// "I regret nothing."
    fn nothing_after(&self, feeling: &Feeling) -> Option<Negation> {
        let nothing = feeling.last + 1;
        let ends = self.tokens.get(nothing + 1).is_none_or(Token::is_break);
        (self.text(Some(nothing)) == "nothing" && ends).then_some(Negation {
            at: nothing,
            direct: true,
        })
    }

    /// The word before a feeling that says it is only wished for, or past.
    fn wish(&self, feeling: &Feeling) -> Option<usize> {
        let start = feeling.first.saturating_sub(WISH_REACH);
        for at in (start..feeling.first).rev() {
            let token = self.tokens.get(at).filter(|token| !token.is_break())?;
            let word = token.word();
            if word.is(Role::Irreal) {
                let neutral = self
                    .feeling_at(at)
                    .is_some_and(|phrase| phrase.strength == 0.0);
                return (!neutral && self.is_wish(&token.text, at)).then_some(at);
            }
            if word.is(Role::Stop) && token.text != "or" {
                return None;
            }
        }
        None
    }

    fn only_wished(&self, feeling: &mut Feeling, wish: usize) {
        if feeling.strength < 0.0 || feeling.negation.is_some() {
            feeling.strength *= 0.7;
        } else if self.text(Some(wish)) == "used" || self.denied_after(feeling) {
            // "I used to enjoy it", "I want to be happy but I can't": what is missed hurts.
            feeling.strength *= -0.5;
            feeling.negation = Some(wish);
        } else {
            feeling.strength = 0.0;
        }
    }

    /// Whether "but" and a negation follow: "… but I can't".
    fn denied_after(&self, feeling: &Feeling) -> bool {
        const CLOSE: usize = 6;
        let after = self.tokens.get(feeling.last + 1..).unwrap_or_default();
        let mut sentence = after
            .iter()
            .take(CLOSE)
            .take_while(|token| token.kind != Kind::End);
        sentence.any(|token| token.text == "but")
            && sentence.any(|token| token.word().is(Role::Not))
    }

    /// Words that wish for something only in certain company.
    fn is_wish(&self, word: &str, at: usize) -> bool {
        let next = self.text(Some(at + 1));
        match word {
            "try" | "tried" | "tries" | "trying" | "want" | "wants" | "wanted" | "wanting"
            | "need" | "needs" | "needed" | "used" | "expected" | "ought" => next == "to",
            // "I'd had": not "would".
            "i'd" | "he'd" | "she'd" | "we'd" | "they'd" | "you'd" => {
                !matches!(next, "had" | "been" | "just" | "never")
            }
            _ => true,
        }
    }
}
