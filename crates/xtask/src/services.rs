//! Runs the example boxes as four processes that follow each other over HTTP.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::{Outcome, cargo, root};

/// The boxes, in the order of their ports.
const BOXES: [&str; 4] = ["orders", "inventory", "payments", "shipping"];

/// The program that has them, and its package.
const PROGRAM: &str = "shop";
const PACKAGE: &str = "monolith";

/// How long the boxes may take to stop by themselves: more than their own bound (`--shutdown-timeout`).
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The port of the first box; the others have those after it. One that is taken is replaced by a free one
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    port: u16,
    /// Where the boxes keep their events; relative to the workspace
    #[arg(long, default_value = "data/services", value_name = "FOLDER")]
    data: PathBuf,
    /// Builds and runs the optimised program
    #[arg(long)]
    release: bool,
    /// Handed on to each box: `-- --log debug`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Builds the program, starts the boxes, and stops all of them at ctrl-c, or when one of them ends.
pub(crate) fn run(options: &Options) -> Outcome {
    build(options.release)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| format!("the runtime can't be started: {error}"))?
        .block_on(run_boxes(options))
}

fn build(release: bool) -> Outcome {
    let mut command = cargo();
    command.args(["build", "--package", PACKAGE, "--bin", PROGRAM]);
    if release {
        command.arg("--release");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{PROGRAM} can't be built ({status})")),
        Err(error) => Err(format!("cargo can't be started: {error}")),
    }
}

fn program(release: bool) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder));
    target
        .join(if release { "release" } else { "debug" })
        .join(PROGRAM)
        .with_extension(std::env::consts::EXE_EXTENSION)
}

async fn run_boxes(options: &Options) -> Outcome {
    let places = places(options.port)?;
    for (name, port) in &places {
        println!("{name:9}  http://127.0.0.1:{port}/{name}/notifications");
    }
    println!(
        "ctrl-c stops them; what they did is in {}\n",
        options.data.display()
    );

    let mut boxes = Vec::new();
    let mut output = JoinSet::new();
    for (name, port) in &places {
        match start(name, *port, &places, options) {
            Ok(mut child) => {
                output.spawn(prefix(name, child.stdout.take()));
                output.spawn(prefix(name, child.stderr.take()));
                boxes.push((*name, child));
            }
            Err(error) => {
                stop(&mut boxes).await;
                return Err(format!("{name} can't be started: {error}"));
            }
        }
    }
    let outcome = tokio::select! {
        signal = stop_signal() => signal.map_err(|error| format!("no signals: {error}")),
        (name, status) = first_to_end(&mut boxes) => Err(format!("{name} ended by itself ({status}), so the others are stopped")),
    };
    println!("stopping");
    stop(&mut boxes).await;
    while output.join_next().await.is_some() {}
    outcome
}

/// A port for each box: its place after the first one's, or a free one if that is taken.
fn places(first: u16) -> Result<Vec<(&'static str, u16)>, String> {
    // All are held until the last one is found, so that none is found twice.
    let listeners = BOXES
        .iter()
        .zip(0..)
        .map(|(_, index)| listener(first.saturating_add(index)))
        .collect::<Result<Vec<_>, _>>();
    let ports = listeners.and_then(|listeners| {
        listeners
            .iter()
            .map(|listener| Ok(listener.local_addr()?.port()))
            .collect::<Result<Vec<_>, _>>()
    });
    let ports = ports.map_err(|error: std::io::Error| format!("there is no free port: {error}"))?;
    Ok(BOXES.into_iter().zip(ports).collect())
}

fn listener(wanted: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
}

fn start(
    name: &str,
    port: u16,
    places: &[(&str, u16)],
    options: &Options,
) -> std::io::Result<Child> {
    let mut command = Command::new(program(options.release));
    command
        .args(arguments(name, port, places, &options.data))
        .args(&options.arguments);
    command
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Ctrl-c at a terminal goes to the whole group of processes; the boxes are told by this one, in its time.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn()
}

/// One box alone, told where the others are.
fn arguments(name: &str, port: u16, places: &[(&str, u16)], data: &Path) -> Vec<String> {
    let mut arguments = vec!["serve".to_owned(), name.to_owned()];
    arguments.extend(["--bind".to_owned(), format!("127.0.0.1:{port}")]);
    arguments.extend(["--data".to_owned(), data.display().to_string()]);
    for (other, port) in places.iter().filter(|(other, _)| *other != name) {
        arguments.extend([
            "--follow".to_owned(),
            format!("{other}=http://127.0.0.1:{port}/{other}/notifications"),
        ]);
    }
    arguments
}

/// Prints what a box prints, each line with the box's name before it.
async fn prefix(name: &'static str, pipe: Option<impl AsyncRead + Unpin>) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        println!("{name:9} | {line}");
    }
}

async fn first_to_end(boxes: &mut [(&'static str, Child)]) -> (&'static str, String) {
    let ends = boxes.iter_mut().map(|(name, child)| {
        Box::pin(async move {
            let status = child
                .wait()
                .await
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            (*name, status)
        })
    });
    first(ends.collect()).await
}

/// The first of several futures to be done.
async fn first<T>(mut futures: Vec<std::pin::Pin<Box<impl Future<Output = T>>>>) -> T {
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(done) = future.as_mut().poll(context) {
                return std::task::Poll::Ready(done);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Waits until this task is asked to stop: ctrl-c, or SIGTERM.
pub(crate) async fn stop_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// Asks all boxes to stop, waits for them, and ends those that don't.
async fn stop(boxes: &mut [(&'static str, Child)]) {
    for (name, child) in boxes.iter_mut() {
        // There is none any more if it has ended.
        let Some(id) = child.id() else { continue };
        if !terminate(id) {
            eprintln!("{name} can't be told to stop, and is killed");
            kill(name, child).await;
        }
    }
    let deadline = tokio::time::Instant::now() + STOP_TIMEOUT;
    for (name, child) in boxes.iter_mut() {
        if tokio::time::timeout_at(deadline, child.wait())
            .await
            .is_err()
        {
            eprintln!(
                "{name} did not stop within {} s, and is killed",
                STOP_TIMEOUT.as_secs()
            );
            kill(name, child).await;
        }
    }
}

/// Sends SIGTERM to a process, and says whether that could be done. Not by the program `kill`, which a signal to
/// the whole group would end before it has said a word.
#[cfg(unix)]
fn terminate(id: u32) -> bool {
    let id = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    id.is_some_and(|id| rustix::process::kill_process(id, rustix::process::Signal::TERM).is_ok())
}

/// There is no such signal here.
#[cfg(not(unix))]
fn terminate(_: u32) -> bool {
    false
}

async fn kill(name: &str, child: &mut Child) {
    if let Err(error) = child.kill().await {
        eprintln!("{name} can't be killed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_follows_the_others_and_not_itself() {
        let places = [("orders", 1), ("payments", 2)];
        let arguments = arguments("orders", 1, &places, Path::new("data/x"));
        assert_eq!(
            arguments,
            [
                "serve",
                "orders",
                "--bind",
                "127.0.0.1:1",
                "--data",
                "data/x",
                "--follow",
                "payments=http://127.0.0.1:2/payments/notifications"
            ]
        );
    }

    #[test]
    fn a_port_that_is_taken_is_replaced_by_a_free_one_and_each_box_has_its_own() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let wanted = taken.local_addr().unwrap().port();
        let mut ports: Vec<u16> = places(wanted)
            .unwrap()
            .into_iter()
            .map(|(_, port)| port)
            .collect();
        assert_eq!(ports.len(), BOXES.len());
        assert!(!ports.contains(&wanted) && !ports.contains(&0));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), BOXES.len());
    }

    #[tokio::test]
    async fn a_box_that_ends_is_named() {
        let end = |program: &str| {
            Command::new(program)
                .kill_on_drop(true)
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut sleeping = Command::new("sleep");
        let sleeping = sleeping.arg("60").kill_on_drop(true).spawn().unwrap();
        let mut boxes = [("sleeping", sleeping), ("failing", end("false"))];
        let (name, status) = first_to_end(&mut boxes).await;
        assert_eq!((name, status.as_str()), ("failing", "exit status: 1"));
        stop(&mut boxes).await;
        assert!(
            boxes
                .iter_mut()
                .all(|(_, child)| child.try_wait().unwrap().is_some())
        );
    }
}
