//! A person is forgotten, in two services that follow each other over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::Path as FilePath;
use std::process::Command;

use boxes::prelude::*;
use boxes_application::{StoredSubjectKeys, SubjectKeyProvider};
use boxes_recorder::Recorder;
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use boxes_service::Store;
use boxes_testing::{RunningBoxes, postgres_url};
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "crm.customer")]
enum CustomerEvent {
    Named {
        name: Personal<String>,
        country: String,
    },
}

#[derive(Default, Clone)]
struct Customer {
    name: Personal<String>,
    country: String,
}

impl Aggregate for Customer {
    type Event = CustomerEvent;

    fn apply(&mut self, CustomerEvent::Named { name, country }: &CustomerEvent) {
        self.name = name.clone();
        self.country.clone_from(country);
    }
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "mail.letter")]
enum LetterEvent {
    Written {
        to: Personal<String>,
        country: String,
    },
}

#[derive(Default, Clone)]
struct Letters(Vec<(Option<String>, String)>);

impl Aggregate for Letters {
    type Event = LetterEvent;

    fn apply(&mut self, LetterEvent::Written { to, country }: &LetterEvent) {
        self.0.push((to.known().cloned(), country.clone()));
    }
}

#[derive(Deserialize)]
struct NewName {
    name: String,
    country: String,
}

async fn put_name(
    State(app): State<App>,
    Path(id): Path<Id<Customer>>,
    Json(NewName { name, country }): Json<NewName>,
) -> Result<(), Problem> {
    let event = CustomerEvent::Named {
        name: Personal::of(id.to_string(), name),
        country,
    };
    app.upsert(id, |_: &Customer| event.clone()).await?;
    Ok(())
}

async fn customer(
    State(app): State<App>,
    Path(id): Path<Id<Customer>>,
) -> Result<Json<Value>, Problem> {
    let customer: Customer = app.get(id).await?;
    Ok(Json(
        json!({ "name": customer.name.known(), "country": customer.country }),
    ))
}

async fn forget(
    State(app): State<App>,
    Path(id): Path<Id<Customer>>,
) -> Result<Json<bool>, Problem> {
    Ok(Json(app.forget(id.to_string()).await?))
}

fn crm() -> BoundedContext {
    BoundedContext::new("crm")
        .aggregate::<Customer>()
        .routes(|| Router::new().route("/{id}", put(put_name).get(customer).delete(forget)))
}

async fn write_letter(n: Notification<CustomerEvent>, app: App) -> Result<(), Error> {
    let CustomerEvent::Named { name, country } = n.event;
    let written = LetterEvent::Written {
        to: name.map(|name| format!("Dear {name}")),
        country,
    };
    app.upsert(Id::named("letters"), |_: &Letters| written.clone())
        .await?;
    Ok(())
}

async fn letters(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let letters: Letters = app.get(Id::named("letters")).await?;
    Ok(Json(json!(letters.0)))
}

fn mail() -> BoundedContext {
    BoundedContext::new("mail")
        .aggregate::<Letters>()
        .follow("crm", write_letter)
        .route("/", get(letters))
}

/// Where the boxes and the keys are.
struct Stores {
    crm: Store,
    mail: Store,
    keys: Store,
}

impl Stores {
    fn files(folder: &FilePath) -> Self {
        let file = |name: &str| Store::Sqlite(folder.join(name));
        Self {
            crm: file("crm.db"),
            mail: file("mail.db"),
            keys: file("keys.db"),
        }
    }

    async fn serve_crm(&self) -> RunningBoxes {
        RunningBoxes::start_with([crm()], |config| {
            config.stores.insert("crm".to_owned(), self.crm.clone());
            config.subject_keys = Some(self.keys.clone());
            config.page_size = std::num::NonZeroU32::new(2);
        })
        .await
    }

    /// Another service: all that it shares with the first one are the keys.
    async fn serve_mail(&self, crm: &RunningBoxes) -> RunningBoxes {
        let log = format!("{}/crm/notifications", crm.base_url());
        RunningBoxes::start_with([mail()], |config| {
            config.stores.insert("mail".to_owned(), self.mail.clone());
            config.subject_keys = Some(self.keys.clone());
            config.follow.insert("crm".to_owned(), log.parse().unwrap());
        })
        .await
    }
}

const SECRETS: [&str; 3] = ["Ann Anders", "Ann Berg", "Dear Ann"];

fn of(name: &str) -> String {
    format!("/crm/{}", Id::<Customer>::named(name))
}

async fn name(crm: &RunningBoxes, who: &str, name: &str) {
    let body = json!({ "name": name, "country": "DE" });
    let (status, body) = crm
        .request(reqwest::Method::PUT, &of(who), Some(&body))
        .await;
    assert_eq!(status, 200, "{body}");
}

fn letter(to: Option<&str>) -> Value {
    json!([to.map(|to| format!("Dear {to}")), "DE"])
}

/// The story that is the same on every engine. Gives the page that was fetched before, with the services still running.
async fn forget_ann(stores: &Stores) -> (Value, RunningBoxes, RunningBoxes) {
    let crm = stores.serve_crm().await;
    let mail = stores.serve_mail(&crm).await;
    name(&crm, "ann", "Ann Anders").await;
    name(&crm, "bob", "Bob Berg").await;
    name(&crm, "ann", "Ann Berg").await;
    let known = json!([
        letter(Some("Ann Anders")),
        letter(Some("Bob Berg")),
        letter(Some("Ann Berg"))
    ]);
    mail.eventually("/mail", |letters| *letters == known).await;
    let (_, page) = crm.get("/crm/notifications/1,2").await;
    assert!(page.to_string().contains("$personal"), "{page}");

    let (status, was_known) = crm.request(reqwest::Method::DELETE, &of("ann"), None).await;
    assert_eq!((status, was_known), (200, json!(true)));

    // At once here, and soon there.
    let (_, ann) = crm.get(&of("ann")).await;
    assert_eq!(ann, json!({ "name": null, "country": "DE" }));
    let forgotten = json!([letter(None), letter(Some("Bob Berg")), letter(None)]);
    mail.eventually("/mail", |letters| *letters == forgotten)
        .await;
    let (_, bob) = crm.get(&of("bob")).await;
    assert_eq!(bob["name"], "Bob Berg");

    // The log is dense and goes on, and its page is the one that was fetched before.
    assert_eq!(crm.get("/crm/notifications/1,2").await.1, page);
    name(&crm, "ann", "Ann Again").await;
    mail.eventually("/mail", |letters| letters[3] == letter(Some("Ann Again")))
        .await;
    let (_, current) = crm.get("/crm/notifications").await;
    assert_eq!(current["last"], 4);
    (page, crm, mail)
}

fn files_hold(folder: &FilePath, bytes: &[u8]) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap())
        .filter(|file| {
            let content = std::fs::read(file.path()).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes)
        })
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_forgotten_is_so_in_both_services_and_a_replay_and_no_file_has_the_key() {
    let folder = TempDir::new().unwrap();
    let stores = Stores::files(folder.path());

    // The key of Ann, as one has it who took the files before.
    let crm = stores.serve_crm().await;
    name(&crm, "ann", "Ann Anders").await;
    crm.request(reqwest::Method::DELETE, &of("ann"), None).await;
    name(&crm, "ann", "Ann Anders").await;
    let (_, page) = crm.get("/crm/notifications/1,2").await;
    let file = folder.path().join("keys.db");
    let keys = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("subject-keys"))
        .await
        .unwrap();
    let keys = keys.key_value_store().unwrap();
    let kept = keys.list("subject-key", b"", 10).await.unwrap();
    let key = kept.iter().find(|entry| entry.value.len() == 33).unwrap();
    let key = key.value.slice(1..);
    assert!(!files_hold(folder.path(), &key).is_empty());

    let (_, is_forgotten) = crm.request(reqwest::Method::DELETE, &of("ann"), None).await;
    assert_eq!(is_forgotten, json!(true));
    assert_eq!(files_hold(folder.path(), &key), [""; 0]);
    for secret in SECRETS {
        assert_eq!(
            files_hold(folder.path(), secret.as_bytes()),
            [""; 0],
            "in the clear"
        );
    }
    assert_eq!(crm.get("/crm/notifications/1,2").await.1, page);
    crm.stop().await;

    // Everything again from the files: the aggregate, and a follower that reads the log for the first time.
    let crm = stores.serve_crm().await;
    let mail = stores.serve_mail(&crm).await;
    assert_eq!(crm.get(&of("ann")).await.1["name"], Value::Null);
    let forgotten = json!([letter(None), letter(None)]);
    mail.eventually("/mail", |letters| *letters == forgotten)
        .await;
    mail.stop().await;
    crm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_in_another_service_hears_of_it_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let (_, crm, mail) = forget_ann(&Stores::files(folder.path())).await;
    mail.stop().await;
    crm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_in_another_service_hears_of_it_on_postgresql() {
    let schema = || postgres_url().parse::<Store>().unwrap();
    let stores = Stores {
        crm: schema(),
        mail: schema(),
        keys: schema(),
    };
    let (_, crm, mail) = forget_ann(&stores).await;
    mail.stop().await;
    crm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_of_one_program_find_and_forget_each_others_keys_without_a_setting() {
    let folder = TempDir::new().unwrap();
    let boxes = RunningBoxes::start_with([crm(), mail()], |config| {
        config.stores.clear();
        config.data = folder.path().to_owned();
    })
    .await;
    name(&boxes, "ann", "Ann Anders").await;
    let known = json!([letter(Some("Ann Anders"))]);
    boxes.eventually("/mail", |letters| *letters == known).await;
    boxes
        .request(reqwest::Method::DELETE, &of("ann"), None)
        .await;
    let forgotten = json!([letter(None)]);
    boxes
        .eventually("/mail", |letters| *letters == forgotten)
        .await;
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_the_keys_stops_and_says_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let stores = Stores::files(folder.path());
    let crm = stores.serve_crm().await;
    name(&crm, "ann", "Ann Anders").await;
    let other = TempDir::new().unwrap();
    let mail = Stores {
        keys: Store::Sqlite(other.path().join("keys.db")),
        ..Stores::files(folder.path())
    };
    let mail = mail.serve_mail(&crm).await;
    let state = mail
        .eventually("/readyz", |ready| {
            let ready = ready.to_string();
            ready.contains("not where this program looks")
                && ready.contains("--subject-keys")
                && ready.contains("move-keys")
        })
        .await;
    assert!(!state.to_string().contains("Ann"), "{state}");
    assert_eq!(mail.get("/mail").await.0, 404, "no letter was written");
    mail.stop().await;
    crm.stop().await;
}

/// In the process of a replica that the test below starts: serves until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica() {
    let Ok(folder) = std::env::var(REPLICA) else {
        return;
    };
    let replica = Stores::files(FilePath::new(&folder)).serve_crm().await;
    std::fs::write(FilePath::new(&folder).join("url.new"), replica.base_url()).unwrap();
    let [new, url] = ["url.new", "url"].map(|name| FilePath::new(&folder).join(name));
    std::fs::rename(new, url).unwrap();
    std::future::pending::<()>().await;
}

/// The variable by which a replica gets its folder.
const REPLICA: &str = "BOXES_TEST_REPLICA_FOLDER";

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_in_another_process_forgets_as_well() {
    let folder = TempDir::new().unwrap();
    let crm = Stores::files(folder.path()).serve_crm().await;
    name(&crm, "ann", "Ann Anders").await;
    let replica = Command::new(std::env::current_exe().unwrap())
        .args(["a_replica", "--exact"])
        .env(REPLICA, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn();
    let _replica = Killed(replica.unwrap());
    let url = folder.path().join("url");
    boxes_tests::until("the replica listens", async || url.exists()).await;
    let url = std::fs::read_to_string(&url).unwrap();
    let ann = async || -> Value {
        let answer = reqwest::get(format!("{url}{}", of("ann"))).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    // It has the aggregate and the key in memory from now on.
    assert_eq!(ann().await["name"], "Ann Anders");
    crm.request(reqwest::Method::DELETE, &of("ann"), None).await;
    boxes_tests::until("the replica has forgotten", async || {
        ann().await == json!({ "name": null, "country": "DE" })
    })
    .await;
    crm.stop().await;
}

/// The command of the program, on what a box has kept.
#[tokio::test]
async fn the_program_forgets_a_subject_and_says_whether_there_was_one() {
    let data = TempDir::new().unwrap();
    let shop = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        let output = command
            .arg("forget")
            .args(arguments)
            .arg("--data")
            .arg(data.path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, _, said) = shop(&["customer-7"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("none of the boxes has a store here"),
        "{said}"
    );

    let file = data.path().join("orders.db");
    let orders = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders"))
        .await
        .unwrap();
    let keys = StoredSubjectKeys::new(orders.key_value_store().unwrap());
    let (id, _) = keys.key_of(&"customer-7".into()).await.unwrap();
    let (other, _) = keys.key_of(&"customer-70".into()).await.unwrap();

    let (code, said, _) = shop(&["customer-7"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "`customer-7` is forgotten.\n")
    );
    let is_forgotten = async |id| {
        let key = keys.key(id).await.unwrap().unwrap();
        matches!(key, boxes::mapper::SubjectKey::Forgotten)
    };
    assert!(is_forgotten(id).await && !is_forgotten(other).await);

    let (code, said, _) = shop(&["customer-7", "orders"]);
    assert_eq!(code, Some(4));
    assert!(
        said.contains("nothing to forget of `customer-7` in sqlite:") && said.contains("orders.db"),
        "{said}"
    );
    assert!(
        !data.path().join("inventory.db").exists(),
        "a store was made"
    );
    // Known, and not to the box that was named.
    let file = data.path().join("payments.db");
    let payments = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("payments"));
    let elsewhere = StoredSubjectKeys::new(payments.await.unwrap().key_value_store().unwrap());
    elsewhere.key_of(&"customer-8".into()).await.unwrap();
    let (code, _, said) = shop(&["customer-8", "orders"]);
    assert!(
        code == Some(5) && said.contains("`customer-8` is known to payments"),
        "{said}"
    );
    assert_eq!(shop(&["customer-8"]).0, Some(0));
    // After a restore.
    let (code, list, _) = shop(&["--list"]);
    assert!(code == Some(0) && list.contains(&id.to_string()), "{list}");
    let listed = data.path().join("forgotten");
    std::fs::write(&listed, &list).unwrap();
    let key = boxes::mapper::SubjectKey::Key(boxes::mapper::Key::new(&[7; 32]));
    let restored = key.to_bytes(id, None, None).unwrap();
    let beside = orders.key_value_store().unwrap();
    beside
        .put("subject-key", id.0.as_bytes(), &restored)
        .await
        .unwrap();
    assert!(!is_forgotten(id).await);
    let (code, said, _) = shop(&["--apply", listed.to_str().unwrap()]);
    assert!(
        code == Some(0) && said.contains("1 of them were there again"),
        "{said}"
    );
    assert!(is_forgotten(id).await && !is_forgotten(other).await);

    let (code, _, said) = shop(&["customer-7", "cellar"]);
    assert!(
        code == Some(2) && said.contains("there is no box `cellar`"),
        "{said}"
    );
    let (code, _, said) = shop(&["", "orders"]);
    assert!(
        code == Some(1) && said.contains("the name of a subject"),
        "{said}"
    );
    let (_, help, _) = shop(&["--help"]);
    assert!(
        help.contains("[SUBJECT]") && help.contains("--subject-keys") && !help.contains("--bind"),
        "{help}"
    );
}
