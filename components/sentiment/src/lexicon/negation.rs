//! Applies negations to the feelings in their scope.

use super::{
    feelings::Feeling, hypothetical, preceding::Preceding, tokens::Token, word::Role,
    word_set::WordSet,
};

/// Most meaningful words between a negation and its feeling.
const SCOPE: usize = 3;
/// Most tokens after a negative feeling and its verb in which "gone" is searched for.
const RELIEF_DISTANCE: usize = 4;
/// Factor on the score of a negative feeling that is gone.
const RELIEF_FACTOR: f32 = -0.8;
/// Factor on the score of a negated feeling: "not bad" is only slightly positive.
const NEGATION_FACTOR: f32 = -0.5;
/// Added to the score of a negated positive feeling: "not good" is more negative than "not bad" is positive.
const NEGATED_POSITIVE: f32 = -0.6;
/// Feelings with a smaller score, positive or negative, are dropped.
const MIN_SCORE: f32 = 0.7;

/// Negates the feelings in the scope of a negation, and drops those that are only wished for or too weak to mark.
pub fn apply(tokens: &[Token<'_>], feelings: &mut Vec<Feeling>) {
    for index in 0..feelings.len() {
        let (earlier, rest) = feelings.split_at_mut(index);
        let Some(feeling) = rest.first_mut().filter(|feeling| feeling.score != 0.0) else {
            continue;
        };
        let preceding = Preceding {
            tokens,
            feelings: earlier,
        };
        apply_relief(&preceding, feeling);
        let negation =
            find(&preceding, feeling).or_else(|| find_nothing_after(&preceding, feeling));
        match negation {
            Some(negation) => negate(feeling, &negation),
            None if follows_too(&preceding, feeling) => feeling.score = 0.0,
            None => {}
        }
        hypothetical::apply(&preceding, feeling);
    }
    feelings.retain(|feeling| feeling.score.abs() >= MIN_SCORE);
}

/// A negation that applies to a feeling.
struct Negation {
    at: usize,
    /// True if no meaningful word stands between the negation and the feeling.
    is_direct: bool,
}

impl Negation {
    fn direct(at: usize) -> Self {
        Self {
            at,
            is_direct: true,
        }
    }
}

fn negate(feeling: &mut Feeling, negation: &Negation) {
    if feeling.score > 0.0 {
        feeling.score = NEGATION_FACTOR * feeling.score + NEGATED_POSITIVE;
    } else if negation.is_direct {
        feeling.score *= NEGATION_FACTOR;
    } else {
        // The problem of "could not solve the problem" still exists.
        return;
    }
    feeling.negation = Some(negation.at);
}

/// Makes "the headache is gone" positive, and removes the feeling of "my anxiety got better".
fn apply_relief(preceding: &Preceding<'_, '_>, feeling: &mut Feeling) {
    let verb = feeling.last + 1;
    if feeling.score > 0.0 || !preceding.is(Some(verb), Role::LinkingVerb) {
        return;
    }
    for at in verb + 1..=verb + RELIEF_DISTANCE {
        let Some(token) = preceding.token(Some(at)) else {
            return;
        };
        if token.is_in(WordSet::Ended) {
            feeling.last = at;
            feeling.score *= RELIEF_FACTOR;
            return;
        }
        if token.is_in(WordSet::Improving) {
            feeling.score = 0.0;
        } else if !token.is_in(WordSet::ProgressAdverb)
            && !token.word().is_any([Role::Booster, Role::Transparent])
        {
            return;
        }
    }
}

/// Finds the negation before a feeling, from right to left.
fn find(preceding: &Preceding<'_, '_>, feeling: &Feeling) -> Option<Negation> {
    let mut scope = SCOPE;
    for at in (0..feeling.first).rev() {
        let token = preceding.token(Some(at))?;
        if token.is_clause_end() {
            let other = at.checked_sub(1).filter(|_| token.text == ",")?;
            return find_shared(preceding, preceding.feeling(other)?, other, feeling);
        }
        let word = token.word();
        if let Some(other) = preceding.feeling(at) {
            if other.score != 0.0 || other.negation.is_some() {
                return find_shared(preceding, other, at, feeling);
            }
            scope = scope.checked_sub(1)?;
            continue;
        }
        if word.is(Role::Negation) {
            let negation = Negation {
                at,
                is_direct: scope == SCOPE,
            };
            return (!is_idiomatic(preceding, &negation, feeling)).then_some(negation);
        }
        if word.is(Role::Subject) {
            return find_before_opinion(preceding, at);
        }
        let is_conjunction = token.is_in(WordSet::Conjunction);
        if word.is(Role::ScopeEnd) && !(is_conjunction && joins(preceding, at, feeling)) {
            return None;
        }
        let is_free = is_conjunction
            || word.is_any([
                Role::Transparent,
                Role::Booster,
                Role::Dampener,
                Role::LinkingVerb,
            ]);
        if !is_free {
            scope = scope.checked_sub(1)?;
        }
    }
    None
}

/// Returns whether the conjunction at `at` joins an earlier feeling to this one: "not happy or excited".
fn joins(preceding: &Preceding<'_, '_>, at: usize, feeling: &Feeling) -> bool {
    feeling.first - at <= 2
        && at
            .checked_sub(1)
            .is_some_and(|before| preceding.feeling(before).is_some())
}

/// Finds the negation of the feeling `other`, which ends at `at`, if a conjunction or comma joins it to this one.
fn find_shared(
    preceding: &Preceding<'_, '_>,
    other: &Feeling,
    at: usize,
    feeling: &Feeling,
) -> Option<Negation> {
    let link = preceding.token(Some(at + 1))?;
    let is_joined = link.is_in(WordSet::NegatedConjunction) && joins(preceding, at + 1, feeling)
        // "Not warm, funny or kind": a comma joins feelings that it alone separates.
        || link.text == "," && at + 2 == feeling.first;
    other.negation.filter(|_| is_joined).map(Negation::direct)
}

/// Finds the negation of a verb of opinion before a subject: "I don't think it was good".
fn find_before_opinion(preceding: &Preceding<'_, '_>, subject: usize) -> Option<Negation> {
    let mut verb = subject.checked_sub(1);
    if preceding.is_in(verb, WordSet::OpinionLink) {
        verb = verb?.checked_sub(1);
    }
    if !preceding.is(verb, Role::OpinionVerb) {
        return None;
    }
    let before = verb?.checked_sub(1)?;
    let is_negation =
        preceding.is(Some(before), Role::Negation) && preceding.feeling(before).is_none();
    is_negation.then(|| Negation::direct(before))
}

/// Finds "nothing" as the object of a feeling, at the end of a clause: "I regret nothing."
fn find_nothing_after(preceding: &Preceding<'_, '_>, feeling: &Feeling) -> Option<Negation> {
    let nothing = feeling.last + 1;
    let ends = preceding
        .token(Some(nothing + 1))
        .is_none_or(Token::is_clause_end);
    (preceding.is_in(Some(nothing), WordSet::Nothing) && ends).then(|| Negation::direct(nothing))
}

/// Returns whether an infinitive after "too" and a feeling rules this feeling out: "too tired to enjoy it".
fn follows_too(preceding: &Preceding<'_, '_>, feeling: &Feeling) -> bool {
    let to = feeling.first.checked_sub(1);
    let too = to
        .filter(|_| preceding.is_in(to, WordSet::To))
        .and_then(|to| preceding.feeling(to.checked_sub(1)?))
        .and_then(|reason| reason.first.checked_sub(1));
    feeling.score > 0.0 && preceding.is_in(too, WordSet::Too)
}

/// Returns whether the negation is part of an idiom that does not negate: "at least", "couldn't be happier".
fn is_idiomatic(preceding: &Preceding<'_, '_>, negation: &Negation, feeling: &Feeling) -> bool {
    let is_word = |set| preceding.is_in(Some(negation.at), set);
    let follows = |set| preceding.is_in(negation.at.checked_sub(1), set);
    let before = feeling.first.checked_sub(1);
    let second_before = feeling.first.checked_sub(2);
    let is_comparative = || {
        let own = preceding.token(Some(feeling.first));
        negation.is_direct
            && feeling.score > 0.0
            && (own.is_some_and(|own| own.text.ends_with("er"))
                || preceding.is_in(before, WordSet::More))
    };
    if is_word(WordSet::Less) {
        // "Less anxious" negates; "more or less happy" and "nothing less than great" do not.
        negation.at + 1 != feeling.first || follows(WordSet::Or)
    } else if is_word(WordSet::Least) {
        follows(WordSet::BeforeLeast)
    } else if is_word(WordSet::Never) {
        // "Never felt better", "never felt so good", "never had such a good day".
        is_comparative()
            || preceding.is_in(before, WordSet::Degree)
            || preceding.is_in(second_before, WordSet::Such)
    } else if is_word(WordSet::Inability) {
        // "Couldn't be happier", "nothing better".
        is_comparative()
    } else if is_word(WordSet::Not) {
        // "Could not be happier".
        follows(WordSet::Ability) && is_comparative()
    } else if is_word(WordSet::PerfectNegation) {
        // "Haven't been this happy in years", "haven't had this much fun since June".
        preceding.is_in(before, WordSet::Degree)
            || preceding.is_in(before, WordSet::Much)
                && preceding.is_in(second_before, WordSet::AmountDegree)
            || preceding.is_in(Some(feeling.last + 1), WordSet::ComparisonLink)
    } else {
        false
    }
}
