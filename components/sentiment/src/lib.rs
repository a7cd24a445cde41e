//! Marks the emotional phrases of a text; reachable from other components only.

pub mod lexicon;
pub mod markup;
