//! What the components share.
