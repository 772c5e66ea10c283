//! How many files a process may have open: each connection is one.

/// Files that a service has open besides its connections: databases, logs, connections to upstreams.
#[cfg(unix)]
const BESIDES: u64 = 256;

/// Raises the limit of open files as far as the system lets, for a service of so many connections.
///
/// Returns a sentence for the operator if that is not enough.
#[cfg(unix)]
pub(crate) fn raise_limit(max_connections: usize) -> Option<String> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let wanted = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(BESIDES);
    let mut limit = getrlimit(Resource::Nofile);
    let is_enough = |current: Option<u64>| current.is_none_or(|current| current >= wanted);
    if is_enough(limit.current) {
        return None;
    }
    let before = limit.current;
    limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
    let raised = setrlimit(Resource::Nofile, limit);
    let now = if raised.is_ok() {
        limit.current
    } else {
        before
    };
    if is_enough(now) {
        return None;
    }
    Some(format!(
        "this process may open {} files, too few for --max-connections {max_connections}: raise the limit to {wanted} (`ulimit -n`, LimitNOFILE=), or set fewer connections",
        now.unwrap_or_default()
    ))
}

#[cfg(not(unix))]
pub(crate) fn raise_limit(_: usize) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_the_system_does_not_give_is_said_and_one_that_it_gives_is_not() {
        assert_eq!(raise_limit(1), None);
        let warning = raise_limit(usize::MAX);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        if let Some(maximum) = limit.maximum {
            let warning = warning.unwrap();
            assert!(
                warning.contains(&format!("may open {maximum} files")),
                "{warning}"
            );
        }
    }
}
