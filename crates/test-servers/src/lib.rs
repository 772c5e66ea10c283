//! Database servers for tests, each in a folder of its own, on a free port, and gone with the value that stands for it.
//!
//! [`NewServer`] is one that is made and not yet started: give it files and settings. [`Server`] is one that runs: it can be
//! killed, as by a power failure, and started again on the same data. `program` finds the programs, `user` is whom a server
//! runs as, since PostgreSQL and MariaDB refuse root; `folder` is where it lives; `postgres`, `mariadb`
//! and `pgbouncer` know what each wants.
//!
//! ```no_run
//! use boxes_test_servers::NewServer;
//!
//! # fn example() -> Result<(), boxes_test_servers::StartError> {
//! let mut server = NewServer::postgres()?.start()?;
//! println!("{}", server.url());
//! server.kill();
//! server.start_again()?;
//! # Ok(())
//! # }
//! ```

mod folder;
mod mariadb;
mod new_server;
mod pgbouncer;
mod pool_mode;
mod postgres;
mod program;
mod server;
mod start_error;
mod user;

pub use new_server::NewServer;
pub use pool_mode::PoolMode;
pub use program::find_program;
pub use server::Server;
pub use start_error::StartError;
