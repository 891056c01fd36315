//! What every bench tells its figures with: how many runs of one thing are summed up, what they were measured on, and
//! what was aimed at beside what was found. Used here and by the bench on a real cluster (`benches/node`).

pub mod machine;
pub mod progress;
pub mod report;
pub mod series;
