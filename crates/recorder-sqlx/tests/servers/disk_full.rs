//! A disk without space.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use boxes_recorder::{Append, Recorder, RecorderError};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use uuid::Uuid;

use crate::database::{Database, Kind};
use crate::events::{append, event};

/// The state of an event of which a few hundred fill the small disks of these tests.
const LARGE: usize = 64 * 1024;

/// More than fit.
const TOO_MANY: u128 = 2_000;

fn large(originator: u128) -> Append {
    let mut event = event(Uuid::from_u128(originator), 1);
    // Of no pattern, because servers compress values.
    let mut x = u32::try_from(originator).unwrap() | 1;
    let bytes = std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x.to_le_bytes()[0]
    });
    event.state = bytes.take(LARGE).collect::<Vec<_>>().into();
    Append::new(vec![event])
}

/// Records until nothing fits any more; says how many were acknowledged, and why it ended.
async fn fill(recorder: &dyn Recorder) -> (u64, String) {
    let mut acknowledged = 0;
    for originator in 1..TOO_MANY {
        match recorder.record(&[large(originator)]).await {
            Ok(outcomes) => {
                acknowledged += 1;
                assert_eq!(outcomes[0].clone().unwrap().ids.start, acknowledged);
            }
            Err(RecorderError::Unavailable { reason, .. }) => return (acknowledged, reason),
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("{TOO_MANY} fit");
}

/// What was acknowledged is there, and nothing else; then there is space again.
async fn goes_on(recorder: &dyn Recorder, acknowledged: u64) {
    let next = recorder.record(&[large(TOO_MANY)]).await.unwrap();
    assert_eq!(next[0].clone().unwrap().ids.start, acknowledged + 1);
    let log = recorder.select_notifications(1, u64::MAX).await.unwrap();
    let ids: Vec<_> = log.iter().map(|n| n.id).collect();
    assert_eq!(ids, (1..=acknowledged + 1).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_tablespace_of_mariadb_is_unavailable_and_the_log_goes_on_when_there_is_space() {
    const FILE: &str = "innodb-data-file-path";
    let mut server = Kind::Mysql
        .new_server()
        .with("innodb-file-per-table", "0")
        .with(FILE, "ibdata1:12M:autoextend:max:24M")
        .start()
        .unwrap();
    let recorder = Database::on(Kind::Mysql, &server).recorder().await;
    let (acknowledged, reason) = fill(&*recorder).await;
    assert!(reason.contains("disk is full"), "{reason}");
    assert!(acknowledged > 10);
    assert_eq!(recorder.head().await.unwrap(), acknowledged);

    server.stop();
    server.set(FILE, "ibdata1:12M:autoextend:max:64M");
    server.start_again().unwrap();
    goes_on(&*recorder, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgresql_is_unavailable_and_the_log_goes_on_when_there_is_space() {
    let new = Kind::Postgres.new_server();
    let disk = SmallDisk::mount(new.folder(), "8m");
    let server = new.start().unwrap();
    // Unmounted before the server, whose folder it is in, is gone.
    let disk = disk;
    let database = Database::on(Kind::Postgres, &server);
    let mut admin = database.session().await;
    let (recorder, full) = match &disk {
        Some(disk) => {
            let make = format!("CREATE TABLESPACE small LOCATION '{}'", disk.path);
            admin.execute(&make).await;
            admin
                .execute("ALTER ROLE postgres SET default_tablespace = 'small'")
                .await;
            let recorder = database.recorder().await;
            let full = fill(&*recorder).await;
            (recorder, full)
        }
        // Who may not mount a disk lets the server say what it says of a full one.
        None => {
            let recorder = database.recorder().await;
            let refuse = "CREATE FUNCTION orders.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                              IF NEW.id > 20 THEN
                                  RAISE EXCEPTION 'could not extend file: no space left' USING ERRCODE = '53100';
                              END IF;
                              RETURN NEW;
                          END $$;
                          CREATE TRIGGER full_disk BEFORE INSERT ON orders.stored_event
                          FOR EACH ROW EXECUTE FUNCTION orders.full()";
            admin.execute(refuse).await;
            let full = fill(&*recorder).await;
            (recorder, full)
        }
    };
    let (acknowledged, reason) = full;
    assert!(reason.contains("disk is full"), "{reason}");
    assert!(acknowledged > 10);
    assert_eq!(recorder.head().await.unwrap(), acknowledged);

    match &disk {
        Some(disk) => disk.resize("64m"),
        None => {
            admin
                .execute("DROP TRIGGER full_disk ON orders.stored_event")
                .await;
        }
    }
    goes_on(&*recorder, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_sqlite_is_unavailable_and_the_log_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "2m");
    // Who may not mount a disk gives the file a limit.
    let (path, limit) = match &disk {
        Some(disk) => (disk.path.clone(), ""),
        None => (folder.path().display().to_string(), "?max_mib=2"),
    };
    let open = async |limit: &str| {
        SqliteRecorder::open(
            &format!("sqlite:{path}/orders.sqlite{limit}"),
            OpenLog::named("orders"),
        )
        .await
        .unwrap()
    };
    let recorder = open(limit).await;
    let (acknowledged, reason) = fill(&recorder).await;
    assert!(reason.contains("disk is full"), "{reason}");
    assert!(acknowledged > 5);
    assert_eq!(recorder.head().await.unwrap(), acknowledged);

    let recorder = match &disk {
        Some(disk) => {
            disk.resize("64m");
            recorder
        }
        None => {
            recorder.close().await.unwrap();
            open("").await
        }
    };
    goes_on(&recorder, acknowledged).await;
    recorder.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_sqlite_grows_to_its_limit_and_not_beyond() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.sqlite");
    let location = |limit: &str| format!("sqlite:{}{limit}", file.display());
    let recorder = SqliteRecorder::open(&location("?max_mib=2"), OpenLog::named("orders"))
        .await
        .unwrap();
    let (acknowledged, reason) = fill(&recorder).await;
    assert!(
        reason.contains("disk is full, or the file at its limit"),
        "{reason}"
    );
    // Small ones may still fit; what was refused left nothing behind.
    assert_eq!(recorder.head().await.unwrap(), acknowledged);
    recorder.close().await.unwrap();
    assert!(file.metadata().unwrap().len() <= 2 * 1024 * 1024);

    let recorder = SqliteRecorder::open(&location("?max_mib=4"), OpenLog::named("orders"))
        .await
        .unwrap();
    recorder.record(&[append(7_777, 1)]).await.unwrap();
    goes_on(&recorder, acknowledged + 1).await;
    let refused = SqliteRecorder::open(&location("?max_mib=much"), OpenLog::named("orders")).await;
    let Err(RecorderError::Mismatch { reason }) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("`max_mib`"), "{reason}");
}

/// A disk in memory, of a size that can be changed.
struct SmallDisk {
    path: String,
}

impl SmallDisk {
    /// `None` if this user may not mount one.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let path = folder.join("disk");
        std::fs::create_dir(&path).unwrap();
        let path = path.display().to_string();
        // As the folder's: a server takes no other's.
        let owner = folder.metadata().unwrap();
        let options = format!("size={size},uid={},gid={}", owner.uid(), owner.gid());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs", &path])
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then_some(Self { path })
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let resized = Command::new("mount")
            .args(["-o", &options, &self.path])
            .status();
        assert!(resized.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that still runs has files there.
        let unmounted = Command::new("umount").args(["-l", &self.path]).status();
        assert!(unmounted.unwrap().success());
    }
}
