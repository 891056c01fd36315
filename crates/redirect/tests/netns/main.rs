//! Everything that enters a network namespace, against the kernel, in throw-away namespaces.

// The attribute tells clippy that the modules' helpers are test code too.
#[cfg(test)]
mod bed;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod iptables;
#[cfg(test)]
mod keep;
#[cfg(test)]
mod namespace;
#[cfg(test)]
mod program;
