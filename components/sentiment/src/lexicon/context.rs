//! Decides whether a word's context lets it express its feeling.

use super::{
    tokens::{Kind, Token},
    word::{Context, Role, Word},
    word_set::WordSet,
};

/// Most words between a linking verb and the word, the word included.
const LINK_DISTANCE: usize = 8;
/// Most words between a verb of feeling and the word, the word included.
const FELT_DISTANCE: usize = 4;
/// Most words between a verb that can go well and "well", "well" included.
const WELL_DISTANCE: usize = 4;

/// Returns whether the word at `at` has the context that it needs.
pub fn is_met(tokens: &[Token<'_>], at: usize, context: Context) -> bool {
    match context {
        Context::Any => true,
        Context::Linked => !is_booster_here(tokens, at) && is_linked(tokens, at),
        Context::Felt => is_felt(tokens, at),
        Context::Person => is_done_by_person(tokens, at),
        Context::WellVerb => follows_well_verb(tokens, at),
    }
}

/// The words of the clause before `at`, from right to left.
fn before<'a, 't>(tokens: &'a [Token<'t>], at: usize) -> impl Iterator<Item = &'a Token<'t>> {
    tokens
        .get(..at)
        .unwrap_or_default()
        .iter()
        .rev()
        .take_while(|token| !token.is_clause_end())
}

/// Returns whether the word only strengthens the next one: "pretty tired".
fn is_booster_here(tokens: &[Token<'_>], at: usize) -> bool {
    let is_booster = tokens.get(at).is_some_and(|token| token.is(Role::Booster));
    let next = tokens.get(at + 1);
    is_booster
        && next
            .is_some_and(|next| matches!(next.kind, Kind::Word(word) if !word.is(Role::ScopeEnd)))
}

/// Returns whether a linking verb precedes, with nothing in between that cannot be part of its predicate.
fn is_linked(tokens: &[Token<'_>], at: usize) -> bool {
    let is_second = before(tokens, at).take(2).count() == 1;
    for token in before(tokens, at).take(LINK_DISTANCE) {
        let word = token.word();
        // "So kind of him" needs no linking verb, but "laughed so hard" is not "so hard".
        let starts_clause = is_second && word.is_any([Role::Booster, Role::Dampener]);
        if word.is(Role::LinkingVerb) || starts_clause {
            return true;
        }
        if !is_part_of_predicate(token, word) {
            return false;
        }
    }
    false
}

/// Returns whether a verb of feeling precedes, or "I am" with a booster: "I am so low".
fn is_felt(tokens: &[Token<'_>], at: usize) -> bool {
    let (mut boosted, mut linked) = (false, false);
    for (distance, token) in before(tokens, at).take(FELT_DISTANCE).enumerate() {
        let word = token.word();
        if word.is(Role::FeelingVerb) {
            return true;
        }
        boosted |= distance == 0 && word.is(Role::Booster);
        linked |= word.is(Role::LinkingVerb);
        if token.is_in(WordSet::IAm) {
            return boosted;
        }
        if token.is_in(WordSet::I) {
            return boosted && linked;
        }
        if !word.is(Role::LinkingVerb) && !is_part_of_predicate(token, word) {
            return false;
        }
    }
    false
}

fn is_part_of_predicate(token: &Token<'_>, word: Word) -> bool {
    word.valence != 0.0
        || word.is_any([
            Role::Transparent,
            Role::Booster,
            Role::Dampener,
            Role::Negation,
        ])
        || token.is_in(WordSet::FeelingJoiner)
}

/// Returns whether a person does it: "I like", "I really like", "we don't like", unlike "is like" or "something like".
fn is_done_by_person(tokens: &[Token<'_>], at: usize) -> bool {
    let mut words = before(tokens, at).map(Token::word);
    let Some(first) = words.next().filter(|word| word.is(Role::PersonContext)) else {
        return false;
    };
    // An adverb needs a person before it: "always" in "it was always like that" has none.
    first.is_any([Role::Subject, Role::Negation])
        || first.is(Role::LinkingVerb) && !first.is(Role::FeelingVerb)
        || words
            .next()
            .is_some_and(|second| second.is(Role::PersonContext))
}

/// Returns whether a verb that can go well precedes: "slept well", "is going so well".
fn follows_well_verb(tokens: &[Token<'_>], at: usize) -> bool {
    before(tokens, at)
        .take(WELL_DISTANCE)
        .take_while(|token| !token.is_in(WordSet::BeforeWell))
        .any(|token| token.is_in(WordSet::WellVerb))
}
