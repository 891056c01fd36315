//! What the API server shows.
