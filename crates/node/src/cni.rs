//! The agent's own binary as a chained CNI plugin, for nodes where the runtime has no NRI and pods must not start before
//! their rules are in force. Optional: without it nothing of ours is on the node's disk. The plugin talks to the agent
//! alone, never to the API server, and holds no token, so an expired credential cannot stop pods (istio#38077).

mod settings;

pub use settings::{InstallSettings, ServerSettings};
