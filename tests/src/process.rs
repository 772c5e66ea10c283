//! A program of boxes in a process of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use boxes::http::install_crypto_provider;

use crate::until;

/// The program `shop`, in a process of its own. Ended when it is dropped.
#[derive(Debug)]
pub struct BoxProcess {
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    child: Option<Child>,
}

impl BoxProcess {
    /// The program at `program` with `arguments`, on a free port that it keeps when it is started again.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = String>) -> Self {
        Self::on_port(program, free_port(), arguments)
    }

    /// The same on a given port.
    #[must_use]
    pub fn on_port(
        program: impl Into<PathBuf>,
        port: u16,
        arguments: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().collect(),
            port,
            child: None,
        }
    }

    /// Where it can be reached.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it. It may take a moment until it answers.
    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg("--bind")
            .arg(format!("127.0.0.1:{}", self.port));
        // What this machine has set for itself is not what the test means.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        command.env("BOXES_LOG", "error");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("the program can be started"));
    }

    /// Starts it, and waits until it answers.
    pub async fn start_and_wait(&mut self) {
        self.start();
        self.wait_until_it_answers().await;
    }

    /// Waits until it answers.
    pub async fn wait_until_it_answers(&mut self) {
        install_crypto_provider();
        let url = format!("{}/healthz", self.base_url());
        until("the program answers", async || {
            if let Some(status) = self
                .child
                .as_mut()
                .and_then(|c| c.try_wait().ok().flatten())
            {
                panic!("the program ended by itself: {status}");
            }
            reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Ends it as a power failure would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Asks it to stop (SIGTERM), and waits. Returns its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let sent = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(sent.success(), "kill: {sent}");
        let mut ended = None;
        until("the program stops", async || {
            ended = child.try_wait().expect("a child can be waited for");
            ended.is_some()
        })
        .await;
        ended.and_then(|status| status.code())
    }
}

impl Drop for BoxProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free now, and outside of the range from which the system hands out ports: so that nobody gets
/// it while the program is down for a moment.
#[must_use]
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs run side by side: each begins somewhere else.
    let _begun = NEXT.compare_exchange(
        0,
        fastrand::u16(FIRST..LAST),
        Ordering::SeqCst,
        Ordering::SeqCst,
    );
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::SeqCst) % (LAST - FIRST);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
