//! What a mesh asks of a pod: which mesh it is a member of, the options its rules are built from, and where each of
//! those values came from. Pure: a pod in as a JSON value, a verdict out.
