//! Diaries: /diaries and below.
