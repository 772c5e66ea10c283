//! Which boxes run here, where they keep their events, and where those that they follow are.

use crate::declared::{Declared, is_here};
use crate::{BoundedContext, Config, StartError, Store, Token, UpstreamAddress, followed_topics};

/// Which boxes run here, and with what. Made without touching anything, so that all that can be told
/// beforehand to be wrong is told before the first file is opened.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order in which they are declared, whatever the order in which they were asked for.
    pub(crate) boxes: Vec<PlannedBox>,
    /// All boxes of the program.
    pub(crate) declared: Declared,
}

#[derive(Debug)]
pub(crate) struct PlannedBox {
    pub(crate) context: BoundedContext,
    pub(crate) store: Store,
    pub(crate) upstreams: Vec<Upstream>,
    /// Whether its aggregates may be deleted.
    pub(crate) is_redactable: bool,
}

/// A followed box.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Where a followed box is.
#[derive(Debug)]
pub(crate) enum Place {
    /// In this process.
    Here,
    /// Behind HTTP.
    At {
        address: UpstreamAddress,
        token: Option<Token>,
    },
}

impl PlannedBox {
    /// The logs that it reads from other services.
    pub(crate) fn followed_elsewhere(&self) -> impl Iterator<Item = &str> {
        let upstreams = self.upstreams.iter();
        upstreams
            .filter(|upstream| matches!(upstream.place, Place::At { .. }))
            .map(|upstream| upstream.name.as_str())
    }
}

impl Plan {
    /// Fits the declared boxes to the configuration.
    pub(crate) fn new(
        contexts: impl IntoIterator<Item = BoundedContext>,
        config: &Config,
    ) -> Result<Self, StartError> {
        let contexts: Vec<BoundedContext> = contexts.into_iter().collect();
        check_declarations(&contexts, config)?;
        let declared = Declared::new(&contexts);
        declared.validate(config)?;
        let here = contexts
            .into_iter()
            .filter(|context| is_here(context.name(), config));
        let boxes = here.map(|context| PlannedBox {
            store: config.store_of(context.name()),
            upstreams: context
                .upstreams()
                .map(|name| upstream(name, config))
                .collect(),
            is_redactable: config.is_redactable(&context),
            context,
        });
        Ok(Self {
            boxes: boxes.collect(),
            declared,
        })
    }
}

/// Where the configuration, which fits, says that a followed log is.
fn upstream(name: &str, config: &Config) -> Upstream {
    let place = match config.follow.get(name) {
        Some(address) => Place::At {
            address: address.clone(),
            token: config.upstream_token(name).cloned(),
        },
        None => Place::Here,
    };
    Upstream {
        name: name.to_owned(),
        place,
    }
}

fn check_declarations(declared: &[BoundedContext], config: &Config) -> Result<(), StartError> {
    let mut mistakes: Vec<String> = declared.iter().flat_map(BoundedContext::mistakes).collect();
    let here: Vec<&BoundedContext> = declared
        .iter()
        .filter(|context| is_here(context.name(), config))
        .collect();
    mistakes.extend(followed_topics::mistakes(&here, config));
    if declared.is_empty() {
        mistakes.push("the program declares no box".to_owned());
    }
    let mut names: Vec<&str> = declared.iter().map(BoundedContext::name).collect();
    names.sort_unstable();
    for pair in names.chunk_by(|a, b| a == b) {
        if let [name, _, ..] = pair {
            mistakes.push(format!("{} boxes are named `{name}`", pair.len()));
        }
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(StartError::Declaration { mistakes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Delivery;
    use boxes_application::{App, Error, Notification};
    use boxes_domain::{Aggregate, Event};
    use serde::{Deserialize, Serialize};

    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "orders.order", crate = "boxes_domain")]
    enum OrderEvent {
        Placed,
    }

    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "orders.order", crate = "boxes_domain")]
    enum SameTopic {
        Placed,
    }

    #[derive(Default, Clone)]
    struct Order;

    impl Aggregate for Order {
        type Event = OrderEvent;
        fn apply(&mut self, _: &OrderEvent) {}
    }

    #[derive(Default, Clone)]
    struct Other;

    impl Aggregate for Other {
        type Event = SameTopic;
        fn apply(&mut self, _: &SameTopic) {}
    }

    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "payments.payment", crate = "boxes_domain")]
    enum PaymentEvent {
        Captured,
    }

    #[derive(Default, Clone)]
    struct Payment;

    impl Aggregate for Payment {
        type Event = PaymentEvent;
        fn apply(&mut self, _: &PaymentEvent) {}
    }

    async fn ignore(_: Notification<OrderEvent>, _: App) -> Result<(), Error> {
        Ok(())
    }

    async fn ignore_payment(_: Notification<PaymentEvent>, _: App) -> Result<(), Error> {
        Ok(())
    }

    fn program() -> [BoundedContext; 2] {
        [
            BoundedContext::new("orders")
                .aggregate::<Order>()
                .follow("payments", ignore_payment),
            BoundedContext::new("payments")
                .aggregate::<Payment>()
                .follow("orders", ignore),
        ]
    }

    fn refusal(contexts: impl IntoIterator<Item = BoundedContext>, config: &Config) -> String {
        Plan::new(contexts, config).unwrap_err().to_string()
    }

    fn url() -> UpstreamAddress {
        "http://127.0.0.1:1/payments/notifications".parse().unwrap()
    }

    #[test]
    fn boxes_of_one_process_follow_each_other_directly_unless_an_address_is_given() {
        let plan = Plan::new(program(), &Config::default()).unwrap();
        assert!(plan.boxes.iter().all(|planned| matches!(
            planned.upstreams[..],
            [Upstream {
                place: Place::Here,
                ..
            }]
        )));
        let config = Config {
            follow: [("payments".to_owned(), url())].into(),
            ..Config::default()
        };
        let plan = Plan::new(program(), &config).unwrap();
        assert!(matches!(
            plan.boxes[0].upstreams[..],
            [Upstream {
                place: Place::At { .. },
                ..
            }]
        ));
        assert!(matches!(
            plan.boxes[1].upstreams[..],
            [Upstream {
                place: Place::Here,
                ..
            }]
        ));
    }

    #[test]
    fn one_box_alone_has_to_be_told_where_those_that_it_follows_are() {
        let config = Config {
            serve: vec!["orders".to_owned()],
            ..Config::default()
        };
        let error = refusal(program(), &config);
        assert!(
            error.contains("`orders` follows `payments`")
                && error.contains("--follow payments=http"),
            "{error}"
        );
        let config = Config {
            follow: [("payments".to_owned(), url())].into(),
            ..config
        };
        let plan = Plan::new(program(), &config).unwrap();
        assert_eq!(
            plan.boxes
                .iter()
                .map(|planned| planned.context.name())
                .collect::<Vec<_>>(),
            ["orders"]
        );
    }

    #[test]
    fn synchronous_delivery_is_refused_where_a_followed_box_is_elsewhere() {
        let config = Config {
            follow: [("payments".to_owned(), url())].into(),
            delivery: Delivery::Synchronous,
            ..Config::default()
        };
        assert!(refusal(program(), &config).contains("synchronous delivery"));
        Plan::new(
            program(),
            &Config {
                delivery: Delivery::Synchronous,
                ..Config::default()
            },
        )
        .unwrap();
    }

    #[test]
    fn a_name_that_the_program_does_not_have_is_refused_and_told_those_that_it_has() {
        let named = |name: &str| vec![name.to_owned()];
        let error = refusal(
            program(),
            &Config {
                serve: named("order"),
                ..Config::default()
            },
        );
        assert_eq!(
            error,
            "there is no box `order` to serve (did you mean `orders`?); this program has orders, payments \
             (a command stands first, before its boxes)"
        );
        let error = refusal(
            program(),
            &Config {
                stores: [("order".to_owned(), Store::Memory)].into(),
                ..Config::default()
            },
        );
        assert!(error.contains("`order` in --store"), "{error}");
        let error = refusal(
            program(),
            &Config {
                redactable: named("order"),
                ..Config::default()
            },
        );
        assert!(error.contains("`order` in --redactable"), "{error}");
        let error = refusal(
            program(),
            &Config {
                follow: [("billing".to_owned(), url())].into(),
                ..Config::default()
            },
        );
        assert_eq!(
            error,
            "--follow names `billing`, which no box of this program follows; they follow orders, payments"
        );
    }

    #[test]
    fn two_boxes_can_not_share_a_store() {
        let store = Store::Sqlite("all.db".into());
        let config = Config {
            stores: [
                ("orders".to_owned(), store.clone()),
                ("payments".to_owned(), store),
            ]
            .into(),
            ..Config::default()
        };
        assert!(refusal(program(), &config).contains("can't share sqlite:all.db"));
        let config = Config {
            stores: [
                ("orders".to_owned(), Store::Memory),
                ("payments".to_owned(), Store::Memory),
            ]
            .into(),
            ..Config::default()
        };
        Plan::new(program(), &config).unwrap();
    }

    #[test]
    fn a_box_that_lasts_does_not_follow_one_in_memory() {
        let mut config = Config {
            stores: [("payments".to_owned(), Store::Memory)].into(),
            ..Config::default()
        };
        let error = refusal(program(), &config);
        assert!(
            error.starts_with("`orders` follows `payments`, which is in memory"),
            "{error}"
        );
        // Where it is elsewhere, its store is no affair of this process.
        config.follow = [("payments".to_owned(), url())].into();
        config.serve = vec!["orders".to_owned()];
        Plan::new(program(), &config).unwrap();
    }

    #[test]
    fn everything_that_is_wrong_with_the_declarations_is_said_at_once() {
        let wrong = [
            BoundedContext::new("Orders"),
            BoundedContext::new("orders")
                .aggregate::<Order>()
                .aggregate::<Other>(),
            BoundedContext::new("orders")
                .follow("orders", ignore)
                .follow("../x", ignore),
            BoundedContext::new("payments")
                .aggregate::<Payment>()
                .route("/payments", axum::routing::get(async || "1"))
                .route("/payments", axum::routing::get(async || "2")),
            BoundedContext::new("shipping").follow("payments", ignore),
        ];
        let error = refusal(wrong, &Config::default());
        for part in [
            "`Orders` is no name",
            "the topic `orders.order.placed` is claimed twice: by `boxes_service::plan::tests::OrderEvent` and by `boxes_service::plan::tests::SameTopic`",
            "follows itself",
            "`../x` is no name",
            "2 boxes are named `orders`",
            "the box `payments` can't run: its routes don't go together",
            "the box `shipping` reads `orders.order.placed` of `payments`, which has no such topic",
        ] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
        assert_eq!(
            refusal([], &Config::default()),
            "the program declares no box"
        );
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused_without_tokens() {
        let config = Config {
            bind: "0.0.0.0:0".parse().unwrap(),
            ..Config::default()
        };
        assert!(refusal(program(), &config).contains("BOXES_CLIENTS_FILE"));
    }
}
