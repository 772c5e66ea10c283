//! The four example boxes as four processes that follow each other by URL.

use std::path::{Path, PathBuf};

use monolith::Endpoints;

use crate::BoxProcess;
use crate::process::free_port;

/// The four example boxes as four processes with a database each.
#[derive(Debug)]
pub struct FourServices {
    processes: Vec<BoxProcess>,
}

/// Which boxes a box follows.
const FOLLOWS: [(&str, &[&str]); 4] = [
    ("orders", &["inventory", "payments", "shipping"]),
    ("inventory", &["orders"]),
    ("payments", &["orders"]),
    ("shipping", &["orders"]),
];

impl FourServices {
    /// Four processes of `program` with their databases in `data`, not yet started. `arguments` are for all.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, data: &Path, arguments: &[&str]) -> Self {
        let program = program.into();
        let ports = FOLLOWS.map(|(name, _)| (name, free_port()));
        let url_of = |upstream: &str| {
            let port = ports
                .iter()
                .find(|(name, _)| *name == upstream)
                .expect("one of the four boxes")
                .1;
            format!("{upstream}=http://127.0.0.1:{port}/{upstream}/notifications")
        };
        let processes = FOLLOWS
            .iter()
            .zip(ports)
            .map(|((name, upstreams), (_, port))| {
                let mut own = vec![
                    "serve".to_owned(),
                    (*name).to_owned(),
                    "--data".to_owned(),
                    data.display().to_string(),
                ];
                for upstream in *upstreams {
                    own.extend(["--follow".to_owned(), url_of(upstream)]);
                }
                own.extend(arguments.iter().map(|a| (*a).to_owned()));
                BoxProcess::on_port(program.clone(), port, own)
            });
        Self {
            processes: processes.collect(),
        }
    }

    /// Starts all, and waits until they answer.
    pub async fn start(&mut self) {
        for process in &mut self.processes {
            process.start();
        }
        for process in &mut self.processes {
            process.wait_until_it_answers().await;
        }
    }

    /// Where they are.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        Endpoints::services(|name| {
            let index = FOLLOWS
                .iter()
                .position(|(n, _)| *n == name.as_str())
                .expect("one of the four boxes");
            self.processes[index].base_url()
        })
        .unwrap()
    }

    /// The processes, in the order orders, inventory, payments, shipping.
    pub fn processes(&mut self) -> &mut [BoxProcess] {
        &mut self.processes
    }
}
