//! Marks the emotional phrases of a text; reachable from other components only.
