//! Sees through praise that stands alone before bad news: "Brilliant. The car has broken down."

use super::{
    feelings::Feeling,
    tokens::{Kind, Token},
};

/// Turns praise round that opens a text in which all else is bad.
pub fn see_through(tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    let Some((praise, rest)) = feelings.split_first_mut() else {
        return;
    };
    let only_bad = !rest.is_empty() && rest.iter().all(|feeling| feeling.strength < 0.0);
    if only_bad && praise.strength > 0.0 && stands_alone(tokens, praise) {
        praise.strength *= -0.6;
    }
}

/// Whether the praise is all that comes before the first comma or stop, but for an "oh" or "well".
fn stands_alone(tokens: &[Token<'_>], praise: &Feeling) -> bool {
    let lead = tokens.get(..praise.first).unwrap_or_default();
    let sighs = lead.iter().all(|token| {
        token.is_break() || matches!(&*token.text, "oh" | "well" | "how" | "just" | "ah")
    });
    let alone = tokens
        .get(praise.last + 1)
        // Who exclaims may mean it.
        .is_some_and(|next| next.text == "," || next.text == "." || next.text == "…");
    sighs
        && alone
        && tokens
            .get(praise.first)
            .is_some_and(|token| is_praise(token))
}

fn is_praise(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word(_))
        && matches!(
            &*token.text,
            "brilliant"
                | "great"
                | "lovely"
                | "fantastic"
                | "wonderful"
                | "perfect"
                | "fabulous"
                | "marvellous"
                | "marvelous"
                | "terrific"
                | "super"
                | "superb"
                | "splendid"
                | "excellent"
                | "charming"
                | "awesome"
                | "amazing"
                | "nice"
                | "good"
        )
}
