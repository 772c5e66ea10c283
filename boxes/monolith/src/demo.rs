//! The main job in front of a person: loads the products, replays the orders, prints what came of it.

use std::time::{Duration, Instant};

use boxes::service::print_line;
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

use crate::Endpoints;
use crate::northwind::Northwind;
use crate::replay::{ReplayError, replay};
use crate::totals::{Tally, TallyError, Totals};

/// How long the boxes may take, once every order has ended, to do what follows from the last ones.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the boxes are asked whether they have.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// Why the demo was given up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The files that are built in do not have the form that they should have.
    #[error("the Northwind files can't be read")]
    Data(#[from] csv::Error),
    /// The orders could not be replayed.
    #[error("the orders could not be replayed")]
    Replay(#[from] ReplayError),
    /// The logs could not be counted.
    #[error("the notification logs could not be counted")]
    Tally(#[from] TallyError),
    /// Nothing can be printed.
    #[error("the result can't be printed")]
    Print(#[from] std::io::Error),
    /// The logs say what can't be.
    #[error("the notification logs do not fit together: {0}")]
    Violated(String),
}

/// Replays the Northwind orders against the boxes at `endpoints`, `in_flight` at a time, with a progress bar, and
/// prints the totals beside the expected ones.
///
/// What was replayed before is found and left as it is.
///
/// # Errors
///
/// If the boxes can't be reached or refuse what they are sent; and if what must hold does not.
pub async fn demo(endpoints: &Endpoints, in_flight: usize) -> Result<(), DemoError> {
    let northwind = Northwind::load()?;
    let n_all = northwind.orders.len();
    let bar = ProgressBar::new(u64::try_from(n_all).unwrap_or(u64::MAX));
    if let Ok(style) =
        ProgressStyle::with_template("replaying orders {bar:40} {pos}/{len} {elapsed_precise}")
    {
        bar.set_style(style);
    }
    let started = Instant::now();
    let replayed = replay(endpoints, &northwind, in_flight, || bar.inc(1)).await?;
    bar.finish_and_clear();
    if replayed.n_orders == 0 && replayed.n_products == 0 {
        print_line(format_args!(
            "All {n_all} orders are there already: nothing was replayed."
        ))?;
    } else {
        print_line(format_args!(
            "Added {} products and replayed {} of {n_all} orders in {:.1} s.",
            replayed.n_products,
            replayed.n_orders,
            started.elapsed().as_secs_f64()
        ))?;
    }
    let tally = settled(endpoints).await?;
    let n_others = tally.n_orders().saturating_sub(n_all);
    print_totals(tally.totals(), in_flight, n_others)?;
    if tally.violations().is_empty() {
        print_line(format_args!(
            "Nothing was lost and nothing was done twice: units in = units shipped + available, captured = shipped.\n"
        ))?;
        return Ok(());
    }
    Err(DemoError::Violated(tally.violations().join("; ")))
}

/// What the logs say once all boxes are done: an order that was cancelled has ended a moment before its units
/// are released.
///
/// # Errors
///
/// If a log can't be read.
pub async fn settled(endpoints: &Endpoints) -> Result<Tally, TallyError> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let tally = Tally::read(endpoints).await?;
        if tally.violations().is_empty() || Instant::now() > deadline {
            return Ok(tally);
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

/// Orders that are not of the demo take units from its orders, so the totals say nothing about it then.
fn print_totals(totals: &Totals, in_flight: usize, n_others: usize) -> std::io::Result<()> {
    if n_others > 0 {
        print_line(format_args!("\n{:>18} {:>12}", "", "counted"))?;
        for (name, counted) in totals.figures() {
            print_line(format_args!("{name:>18} {counted:>12}"))?;
        }
        return print_line(format_args!(
            "The logs also have orders that are not of the demo ({n_others}), so these totals can't be compared with the expected ones.\n"
        ));
    }
    print_line(format_args!(
        "\n{:>18} {:>12} {:>12}",
        "", "counted", "expected"
    ))?;
    for ((name, counted), (_, expected)) in totals.figures().iter().zip(Totals::EXPECTED.figures())
    {
        let differs = if *counted == expected {
            ""
        } else {
            "  differs"
        };
        print_line(format_args!(
            "{name:>18} {counted:>12} {expected:>12}{differs}"
        ))?;
    }
    if in_flight > 1 {
        print_line(format_args!(
            "With {in_flight} orders in flight the split may differ: the first to come gets the units."
        ))?;
    }
    print_line("")
}
