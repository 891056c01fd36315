//! Kubernetes manifests as the API server would read them: YAML by go-yaml's rules or JSON, many documents in one
//! stream, every value with its place in the source, so that an error can point at it.
