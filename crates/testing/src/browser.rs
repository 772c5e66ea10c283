//! A real browser, without a window.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::read::ZlibDecoder;
use tempfile::TempDir;

use crate::chromium;

/// How long the browser may take for one thing.
const DEADLINE: Duration = Duration::from_secs(60);
/// The side of the window, in pixels, that is not given.
const HEIGHT: u32 = 900;

/// Chromium, with a profile of its own, started anew for each thing that it is asked to do.
#[derive(Debug)]
pub struct Browser {
    profile: TempDir,
}

/// A page that is open until this is dropped; for pages that do something by themselves.
#[derive(Debug)]
pub struct OpenPage {
    process: Child,
    _profile: TempDir,
}

/// What a page looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// The picture as PNG.
    pub png: Vec<u8>,
    /// Red, green and blue of the pixel in the upper left corner.
    pub corner: [u8; 3],
    /// How many of its rows differ from the row above: 0 for a picture of one colour.
    pub n_changing_rows: usize,
}

impl Browser {
    /// One that has seen nothing yet.
    ///
    /// # Panics
    ///
    /// If Chromium is not there: see [`chromium`].
    #[must_use]
    pub fn new() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        Self { profile }
    }

    /// The document at `url` as the browser understands it, as HTML.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    #[must_use]
    pub fn document(&self, url: &str) -> String {
        let output = finish(command(self.profile.path()).arg("--dump-dom").arg(url));
        String::from_utf8(output).expect("UTF-8")
    }

    /// What is seen at `url` in a window of this width, in pixels, by somebody who prefers light or dark.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    #[must_use]
    pub fn screenshot(&self, url: &str, width: u32, dark: bool) -> Screenshot {
        let file = self.profile.path().join("seen.png");
        let scheme = u8::from(!dark);
        finish(
            command(self.profile.path())
                .arg(format!("--screenshot={}", file.display()))
                .arg(format!("--window-size={width},{HEIGHT}"))
                .args([
                    "--hide-scrollbars",
                    "--run-all-compositor-stages-before-draw",
                ])
                .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
                .arg(url),
        );
        let png = std::fs::read(file).expect("a screenshot");
        let (corner, n_changing_rows) = look(&png);
        Screenshot {
            png,
            corner,
            n_changing_rows,
        }
    }

    /// Opens `url`, and leaves it open.
    ///
    /// # Panics
    ///
    /// If Chromium does not start.
    #[must_use]
    pub fn open(self, url: &str) -> OpenPage {
        let mut command = command(self.profile.path());
        // With a port of its own for debuggers it does not end when the page is loaded.
        command.arg("--remote-debugging-port=0").arg(url);
        let process = command
            .stdout(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        OpenPage {
            process,
            _profile: self.profile,
        }
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn command(profile: &Path) -> Command {
    let mut command = Command::new(chromium());
    command
        .args([
            "--headless",
            // Tests run as root in containers, where Chromium's own walls can't be put up.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// What the browser prints to its end.
fn finish(command: &mut Command) -> Vec<u8> {
    let mut process = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("Chromium starts");
    let mut printed = process.stdout.take().expect("a pipe");
    let reading = std::thread::spawn(move || {
        let mut output = Vec::new();
        printed.read_to_end(&mut output).map(|_| output)
    });
    let deadline = Instant::now() + DEADLINE;
    while process.try_wait().expect("it can be waited for").is_none() {
        if Instant::now() > deadline {
            stop(&mut process);
            panic!("Chromium takes more than {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    reading.join().expect("no panic").expect("its output")
}

/// Asked to, it ends its own processes as well; what has ended already need not be asked.
fn stop(process: &mut Child) {
    let mut asked = Command::new("kill");
    let is_asked = asked
        .arg(process.id().to_string())
        .stderr(Stdio::null())
        .status();
    if !is_asked.is_ok_and(|status| status.success()) {
        drop(process.kill());
    }
    drop(process.wait());
}

/// The corner, and how many rows change, of a PNG picture of 8-bit RGB as Chromium writes it.
fn look(png: &[u8]) -> ([u8; 3], usize) {
    let number = |bytes: &[u8]| -> usize {
        let bytes = bytes.try_into().expect("four bytes");
        u32::from_be_bytes(bytes).try_into().expect("it fits")
    };
    let (mut place, mut width, mut packed) = (8, 0, Vec::new());
    while place < png.len() {
        let length = number(&png[place..place + 4]);
        let data = &png[place + 8..place + 8 + length];
        match &png[place + 4..place + 8] {
            b"IHDR" => {
                width = number(&data[..4]);
                assert_eq!(data[8..10], [8, 2], "8-bit RGB");
            }
            b"IDAT" => packed.extend_from_slice(data),
            _ => {}
        }
        place += 12 + length;
    }
    let mut rows = Vec::new();
    ZlibDecoder::new(&*packed)
        .read_to_end(&mut rows)
        .expect("a whole picture");
    let rows: Vec<_> = unfiltered(&rows, width * 3);
    let changing = rows.windows(2).filter(|pair| pair[0] != pair[1]);
    let first = rows.first().expect("a row");
    ([first[0], first[1], first[2]], changing.count())
}

/// The rows of pixels (PNG, 9.2), of three bytes a pixel.
fn unfiltered(rows: &[u8], length: usize) -> Vec<Vec<u8>> {
    let mut above = vec![0; length];
    let mut found = Vec::new();
    for row in rows.chunks_exact(length + 1) {
        let (filter, coded) = (row[0], &row[1..]);
        let mut pixels = vec![0_u8; length];
        for i in 0..length {
            let left = if i < 3 { 0 } else { pixels[i - 3] };
            let up = above[i];
            let corner = if i < 3 { 0 } else { above[i - 3] };
            let predicted = match filter {
                0 => 0,
                1 => left,
                2 => up,
                3 => left.midpoint(up),
                _ => paeth(left, up, corner),
            };
            pixels[i] = coded[i].wrapping_add(predicted);
        }
        found.push(pixels.clone());
        above = pixels;
    }
    found
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(up) - i16::from(corner);
    let distance = |of: u8| (estimate - i16::from(of)).abs();
    if distance(left) <= distance(up) && distance(left) <= distance(corner) {
        left
    } else if distance(up) <= distance(corner) {
        up
    } else {
        corner
    }
}
