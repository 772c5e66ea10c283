//! Boxes as processes: configuration, runner, health, metrics, shutdown
