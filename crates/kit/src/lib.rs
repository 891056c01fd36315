//! What both daemons share, so that logs, probes, shutdown and clients behave alike.
