//! Values of named types go from a Python application to a box and back, each with its type.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail a test, too"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boxes::http::install_crypto_provider;
use boxes::mapper::{DateAsIso, DatetimeAsIso, DecimalAsStr, UuidAsHex};
use boxes::prelude::*;
use boxes::service::{Config, Running, Service, Store};
use boxes::{Dynamic, Named, ValueType};
use boxes_testing::python;
use boxes_tests::until;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq)]
struct Email(String);

impl ValueType for Email {
    const NAME: &'static str = "email_as_str";
    type Value = Self;
    type Data = String;

    fn to_data(email: &Self) -> String {
        email.0.clone()
    }

    fn from_data(data: String) -> Option<Self> {
        data.contains('@').then_some(Self(data))
    }
}

struct PairOfUuids;

impl ValueType for PairOfUuids {
    const NAME: &'static str = "pair_as_list";
    type Value = (Uuid, Uuid);
    type Data = [Named<UuidAsHex>; 2];

    fn to_data(pair: &(Uuid, Uuid)) -> Self::Data {
        [Named(pair.0), Named(pair.1)]
    }

    fn from_data([first, second]: Self::Data) -> Option<(Uuid, Uuid)> {
        Some((first.0, second.0))
    }
}

struct SetOfPairs;

impl ValueType for SetOfPairs {
    const NAME: &'static str = "set_as_list";
    type Value = BTreeSet<(Uuid, Uuid)>;
    type Data = Vec<Named<PairOfUuids>>;

    fn to_data(pairs: &BTreeSet<(Uuid, Uuid)>) -> Self::Data {
        pairs.iter().copied().map(Named).collect()
    }

    fn from_data(data: Self::Data) -> Option<BTreeSet<(Uuid, Uuid)>> {
        Some(data.into_iter().map(Named::into_inner).collect())
    }
}

/// What a dog is like: some of it in fields of types, the rest as it comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Facts {
    #[serde(with = "Named::<UuidAsHex>")]
    chip: Uuid,
    #[serde(with = "Named::<DecimalAsStr>")]
    price: Decimal,
    born: Option<Named<DateAsIso>>,
    seen: Named<DatetimeAsIso>,
    owner: Named<Email>,
    friends: Named<SetOfPairs>,
}

/// An event of the application, of which all is read with its type.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "kennel.dog")]
enum Typed {
    #[event(alias = "kennel:Dog.Registered")]
    Registered(Facts),
}

/// The same event, whatever it says.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "kennel.dog")]
enum Untyped {
    #[event(alias = "kennel:Dog.Registered")]
    Registered(Dynamic),
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "vet.dog")]
enum DogEvent {
    Visited {
        #[serde(flatten)]
        facts: Facts,
        anything: Dynamic,
    },
    Noted(Dynamic),
}

#[derive(Default, Clone)]
struct Dog {
    events: Vec<DogEvent>,
}

impl Aggregate for Dog {
    type Event = DogEvent;

    fn apply(&mut self, event: &DogEvent) {
        self.events.push(event.clone());
    }
}

fn dog() -> Id<Dog> {
    Id::named("dog")
}

async fn on_typed(notification: Notification<Typed>, app: App) -> Result<(), Error> {
    let Typed::Registered(facts) = notification.event;
    let anything = Dynamic::map([
        ("owner", Dynamic::named::<Email>(&facts.owner).unwrap()),
        (
            "friends",
            Dynamic::named::<SetOfPairs>(&facts.friends).unwrap(),
        ),
    ]);
    let visited = DogEvent::Visited { facts, anything };
    app.upsert(dog(), move |_: &Dog| visited.clone()).await?;
    Ok(())
}

async fn on_untyped(notification: Notification<Untyped>, app: App) -> Result<(), Error> {
    let Untyped::Registered(anything) = notification.event;
    app.upsert(dog(), move |_: &Dog| DogEvent::Noted(anything.clone()))
        .await?;
    Ok(())
}

/// The application, in a process of Python.
struct Kennel {
    process: Child,
    url: String,
}

impl Kennel {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(python())
            .arg(script())
            .arg("serve")
            .arg(folder.join("kennel.db"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        let url = url.trim().to_owned();
        assert!(url.starts_with("http://"), "it does not start");
        Self { process, url }
    }
}

impl Drop for Kennel {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/values_9.py")
}

/// The box that follows the application, which keeps its events in the folder.
async fn start(vet: BoundedContext, folder: &Path, kennel: &Kennel) -> Running {
    install_crypto_provider();
    let address = format!("eventsourcing-9+{}/notifications", kennel.url);
    let config = Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [("vet".to_owned(), Store::Sqlite(folder.join("vet.db")))].into(),
        follow: [("kennel".to_owned(), address.parse().unwrap())].into(),
        poll_interval: Duration::from_millis(50),
        ..Config::default()
    };
    Service::start([vet], config).await.unwrap()
}

fn vet() -> BoundedContext {
    BoundedContext::new("vet").aggregate::<Dog>()
}

fn knowing(vet: BoundedContext) -> BoundedContext {
    vet.value_type::<Email>()
        .value_type::<PairOfUuids>()
        .value_type::<SetOfPairs>()
}

async fn events(vet: &Running) -> Vec<DogEvent> {
    match vet.app("vet").unwrap().get(dog()).await {
        Err(Error::NotFound { .. }) => Vec::new(),
        dog => dog.unwrap().events.clone(),
    }
}

fn facts() -> Facts {
    let chip = Uuid::from_u128;
    Facts {
        chip: chip(0),
        price: Decimal::new(1250, 2),
        born: Some(Named(Date::constant(2026, 1, 2))),
        seen: Named("2026-01-02T03:04:05.678901Z".parse().unwrap()),
        owner: Named(Email("ann@example.org".to_owned())),
        friends: Named([(chip(1), chip(2)), (chip(3), chip(4))].into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_wrote_is_read_with_its_types_and_what_the_box_writes_python_reads() {
    let folder = tempfile::tempdir().unwrap();
    let kennel = Kennel::start(folder.path());
    let following = || {
        knowing(vet())
            .follow("kennel", on_typed)
            .follow("kennel", on_untyped)
    };
    let running = start(following(), folder.path(), &kennel).await;
    until("the dog is known", async || {
        events(&running).await.len() == 2
    })
    .await;
    running.shutdown().await;

    // From its store, and not from memory.
    let running = start(following(), folder.path(), &kennel).await;
    let found = events(&running).await;
    let [
        DogEvent::Visited {
            facts: read,
            anything,
        },
        DogEvent::Noted(noted),
    ] = &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(*read, facts());
    let value = |name: &str| noted.get(name).unwrap();
    assert_eq!(value("chip").value::<UuidAsHex>(), Some(facts().chip));
    assert_eq!(value("price").value::<DecimalAsStr>(), Some(facts().price));
    assert_eq!(
        value("born").value::<DateAsIso>(),
        facts().born.map(|born| born.0)
    );
    assert_eq!(value("seen").value::<DatetimeAsIso>(), Some(facts().seen.0));
    for all in [noted, anything] {
        let value = |name: &str| all.get(name).unwrap();
        assert_eq!(value("owner").value::<Email>(), Some(facts().owner.0));
        assert_eq!(
            value("friends").value::<SetOfPairs>(),
            Some(facts().friends.0)
        );
    }

    let url = format!("{}/vet", running.base_url());
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(python());
        command.arg(script()).args(["follow", &url]).output()
    });
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let id = |n: u128| format!("UUID('{}')", Uuid::from_u128(n));
    let expected = [
        format!("chip UUID {}", id(0)),
        "price Decimal Decimal('12.50')".to_owned(),
        "born date datetime.date(2026, 1, 2)".to_owned(),
        "seen datetime datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)"
            .to_owned(),
        "owner Email Email('ann@example.org')".to_owned(),
        format!(
            "friends set [Pair({}, {}), Pair({}, {})]",
            id(1),
            id(2),
            id(3),
            id(4)
        ),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_does_not_know_a_type_stops_following_and_says_which_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let kennel = Kennel::start(folder.path());
    let vet = vet().follow("kennel", on_untyped);
    let running = start(vet, folder.path(), &kennel).await;
    let url = format!("{}/readyz", running.base_url());
    let mut said = String::new();
    until("it says why it has stopped", async || {
        said = reqwest::get(&url).await.unwrap().text().await.unwrap();
        said.contains("email_as_str")
    })
    .await;
    for part in [
        "`kennel:Dog.Registered`",
        "`email_as_str` is not known here",
        "BoundedContext::value_type",
        "decimal_str",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert_eq!(events(&running).await, []);
    running.shutdown().await;
}

#[tokio::test]
async fn two_types_of_one_name_are_refused_at_the_start() {
    struct Other;

    impl ValueType for Other {
        const NAME: &'static str = "email_as_str";
        type Value = String;
        type Data = String;

        fn to_data(text: &String) -> String {
            text.clone()
        }

        fn from_data(data: String) -> Option<String> {
            Some(data)
        }
    }

    let vet = vet().value_type::<Email>().value_type::<Other>();
    let config = Config {
        stores: [("vet".to_owned(), Store::Memory)].into(),
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Config::default()
    };
    let error = Service::start([vet], config).await.unwrap_err().to_string();
    assert!(
        error.contains("the value type `email_as_str` is claimed twice")
            && error.contains("Email`")
            && error.contains("Other`"),
        "{error}"
    );
}
