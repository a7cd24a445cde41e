//! Health, readiness, version, the API document, and the 404 of everything else.
