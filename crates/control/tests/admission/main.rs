//! The webhooks as the API server sees them, without a port: requests go through the router, and where a policy asks
//! the API server, the case says what that answers. The cases are data, in `tests/cases/admission`.

mod case;
mod hostile;
mod http;
mod world;
