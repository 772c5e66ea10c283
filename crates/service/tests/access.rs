//! What each token allows, box by box.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail a test, too")]

mod support;

use boxes_service::{Config, Stopped, Token, Tokens};
use reqwest::Method;
use support::*;

const OLD: &str = "old-0123456789abcdef";
const NEW: &str = "new-0123456789abcdef";
const SHIPPING: &str = "shipping-0123456789abcdef";
const PUBLIC: &str = "public-0123456789abcdef";
const COLLECTOR: &str = "collector-0123456789abcdef";
const OPERATOR: &str = "operator-0123456789abcdef";

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn tokens() -> Tokens {
    [
        ("reader", "read:notes", OLD),
        ("reader", "read:notes", NEW),
        ("shipping", "command:notes read:copies", SHIPPING),
        ("collector", "metrics", COLLECTOR),
        ("public", "read:notes/short", PUBLIC),
    ]
    .into_iter()
    .fold(
        Tokens::new(vec![token(OPERATOR)], Vec::new()),
        |tokens, (name, scopes, text)| tokens.with(name, scopes.parse().unwrap(), token(text)),
    )
}

fn with_tokens() -> Config {
    Config {
        tokens: tokens(),
        ..config()
    }
}

const OF_NOTES: [&str; 6] = [
    "/notes/notifications",
    "/notes/notifications/1,20",
    "/notes/notifications/log",
    "/notes/notifications/1",
    "/notes/compat/eventsourcing-9/1,10",
    "/notes/count",
];

#[tokio::test]
async fn a_token_for_one_log_opens_that_log_and_no_other() {
    let running = start(with_tokens()).await;
    write_notes(&running, 21, 1).await;
    for path in OF_NOTES {
        for text in [OLD, NEW, SHIPPING, OPERATOR] {
            assert_eq!(get_with(&running, path, text).await.status(), 200, "{path}");
        }
        let refused = get_with(&running, path, COLLECTOR).await;
        assert_eq!(refused.status(), 403, "{path}");
        assert_eq!(
            header(&refused, "www-authenticate"),
            r#"Bearer realm="boxes", error="insufficient_scope", scope="read:notes""#
        );
        let refused = problem(refused).await;
        assert_eq!(refused["scope"], "read:notes");
        assert_eq!(
            refused["detail"],
            "the token of `collector` allows metrics, and this needs read:notes"
        );
        let page = get_with(&running, path, NEW).await;
        assert!(!header(&page, "cache-control").contains("public"), "{path}");
    }
    let page = get_with(&running, "/notes/notifications/1,20", NEW).await;
    let page: serde_json::Value = serde_json::from_str(&page.text().await.unwrap()).unwrap();
    let for_ever = page["links"]["self"].as_str().unwrap();
    let archived = get_with(&running, for_ever, NEW).await;
    assert_eq!(
        header(&archived, "cache-control"),
        "private, max-age=31536000, immutable"
    );
    let other = "/copies/notifications";
    for (text, status) in [(NEW, 403), (SHIPPING, 200), (OPERATOR, 200)] {
        assert_eq!(get_with(&running, other, text).await.status(), status);
    }
    assert_eq!(get_without(&running, other).await.status(), 401);
    let unknown = "unknown-0123456789abcdef";
    assert_eq!(get_with(&running, other, unknown).await.status(), 401);
}

#[tokio::test]
async fn a_token_for_a_published_log_does_not_open_the_log_that_it_is_made_of() {
    let running = start(with_tokens()).await;
    write_notes(&running, 3, 100).await;
    for (text, status) in [(PUBLIC, 200), (NEW, 200), (COLLECTOR, 403)] {
        for path in [
            "/notes/short/notifications",
            "/notes/short/compat/eventsourcing-9",
        ] {
            assert_eq!(
                get_with(&running, path, text).await.status(),
                status,
                "{path}"
            );
        }
    }
    for path in OF_NOTES
        .into_iter()
        .chain(["/metrics", "/copies/notifications"])
    {
        assert_eq!(
            get_with(&running, path, PUBLIC).await.status(),
            403,
            "{path}"
        );
    }
}

#[tokio::test]
async fn to_command_a_box_needs_a_scope_for_commanding_that_box() {
    let running = start(with_tokens()).await;
    let post = async |path: &str, text: &str| {
        let request = request(&running, Method::POST, path).bearer_auth(text);
        let request = request.header("content-type", "application/json");
        request.body("\"a note\"").send().await.unwrap()
    };
    let refused = problem(post("/notes/notes", NEW).await).await;
    assert_eq!(
        (&refused["status"], &refused["scope"]),
        (&403.into(), &"command:notes".into())
    );
    assert_eq!(post("/notes/notes", SHIPPING).await.status(), 201);
    assert_eq!(post("/notes/notes", OPERATOR).await.status(), 201);
    let refused = problem(post("/copies/notifications", SHIPPING).await).await;
    assert_eq!(refused["scope"], "command:copies");
    // What a page does not take is refused to who may not command before it is told.
    assert_eq!(post("/notes/notifications", NEW).await.status(), 403);
    assert_eq!(post("/notes/notifications", SHIPPING).await.status(), 405);
}

#[tokio::test]
async fn figures_have_a_scope_of_their_own_which_all_have_that_may_read_everything() {
    let running = start(with_tokens()).await;
    for (text, metrics) in [
        (COLLECTOR, 200),
        (OPERATOR, 200),
        (NEW, 403),
        (SHIPPING, 403),
    ] {
        assert_eq!(
            get_with(&running, "/metrics", text).await.status(),
            metrics,
            "{text}"
        );
        assert_eq!(get_with(&running, "/", text).await.status(), 200, "{text}");
    }
    for path in ["/healthz", "/readyz", "/problems/forbidden"] {
        assert_eq!(get_without(&running, path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_follower_shows_each_upstream_the_token_that_it_was_given_for_it() {
    let upstream = start(Config {
        serve: vec!["notes".to_owned()],
        ..with_tokens()
    })
    .await;
    write_notes(&upstream, 3, 1).await;
    let url = format!("{}/notes/notifications", upstream.base_url());
    let follower = |tokens: &[(&str, &str)]| Config {
        serve: vec!["copies".to_owned()],
        follow: [("notes".to_owned(), url.parse().unwrap())].into(),
        upstream_tokens: tokens
            .iter()
            .map(|(name, text)| ((*name).to_owned(), token(text)))
            .collect(),
        ..config()
    };
    let refused = start(follower(&[("", COLLECTOR)])).await;
    let in_the_way = async |running: &boxes_service::Running| {
        let ready = get_without(running, "/readyz").await.bytes().await.unwrap();
        let ready: serde_json::Value = serde_json::from_slice(&ready).unwrap();
        let error = &ready["followers"][0]["error"];
        error.as_str().unwrap_or_default().to_owned()
    };
    eventually("the follower says what its token lacks", || async {
        in_the_way(&refused)
            .await
            .contains("lacks the scope read:notes")
    })
    .await;
    let running = start(follower(&[("", COLLECTOR), ("notes", NEW)])).await;
    eventually("it follows", || async {
        let copies = running.app("copies").unwrap().notification_log();
        let described = boxes_notification_log::NotificationLog::describe(&copies).await;
        described.unwrap().last == 3
    })
    .await;
    assert_eq!(running.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn a_request_with_two_tokens_is_refused() {
    let running = start(with_tokens()).await;
    let asked = request(&running, Method::GET, OF_NOTES[0]);
    let asked = asked.bearer_auth(OLD).bearer_auth(COLLECTOR);
    let refused = asked.send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(
        problem(refused).await["detail"]
            .as_str()
            .unwrap()
            .contains("Authorization")
    );
}

#[tokio::test]
async fn a_token_that_is_revoked_loses_its_streams_and_its_waits_and_no_other_does() {
    let running = start(with_tokens()).await;
    write_notes(&running, 1, 1).await;
    let stream = async |text| {
        let path = "/notes/notifications/stream?after=0";
        let mut stream = get_with(&running, path, text).await;
        let mut read = Vec::new();
        while !read.windows(5).any(|part| part == b"id: 1") {
            read.extend_from_slice(&stream.chunk().await.unwrap().unwrap());
        }
        stream
    };
    let page = get_with(&running, OF_NOTES[0], NEW).await;
    let tag = header(&page, "etag");
    let wait = async |text| {
        let waiting = request(&running, Method::GET, OF_NOTES[0]).bearer_auth(text);
        let waiting = waiting.header("prefer", "wait=30");
        waiting.header("if-none-match", &tag).send().await.unwrap()
    };
    let (mut revoked, mut kept) = (stream(OLD).await, stream(NEW).await);
    let waiting = async { tokio::join!(wait(OLD), wait(NEW)) };
    let revoking = async {
        let under_way = || async {
            let figures = get_with(&running, "/metrics", COLLECTOR).await;
            let figures = figures.text().await.unwrap();
            figures.contains("\nboxes_http_requests_under_way 3\n")
        };
        eventually("both wait", under_way).await;
        let without = [
            ("reader", "read:notes", NEW),
            ("collector", "metrics", COLLECTOR),
        ];
        let without = without
            .into_iter()
            .fold(Tokens::default(), |tokens, given| {
                tokens.with(given.0, given.1.parse().unwrap(), token(given.2))
            });
        let config = Config {
            tokens: without,
            ..config()
        };
        running.reload(&config).unwrap();
        while revoked.chunk().await.unwrap().is_some() {}
        write_notes(&running, 1, 1).await;
    };
    let ((of_revoked, of_kept), ()) = tokio::join!(waiting, revoking);
    assert_eq!(
        (of_revoked.status().as_u16(), of_kept.status().as_u16()),
        (401, 200)
    );
    let mut read = Vec::new();
    while !read.windows(5).any(|part| part == b"id: 2") {
        read.extend_from_slice(&kept.chunk().await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn readiness_is_told_in_detail_only_to_those_who_may_see_the_figures() {
    let running = start(with_tokens()).await;
    let asked = async |token: Option<&str>| -> serde_json::Value {
        let answer = match token {
            Some(text) => get_with(&running, "/readyz", text).await,
            None => get_without(&running, "/readyz").await,
        };
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let nothing_else = serde_json::json!({ "status": "ready" });
    assert_eq!(asked(None).await, nothing_else);
    assert_eq!(asked(Some(NEW)).await, nothing_else);
    let told = asked(Some(COLLECTOR)).await;
    assert_eq!(told["boxes"][0]["box"], "notes");
    assert_eq!(told["followers"][0]["upstream"], "notes");
}

#[tokio::test]
async fn a_scope_of_a_box_that_the_program_does_not_have_is_refused() {
    let tokens = Tokens::default().with("reader", "read:note".parse().unwrap(), token(NEW));
    let wrong = Config { tokens, ..config() };
    let refused = try_start(wrong.clone()).await.unwrap_err();
    let running = start(with_tokens()).await;
    let reloading = running.reload(&wrong).unwrap_err();
    assert_eq!(reloading.to_string(), refused.to_string());
    assert_eq!(get_with(&running, OF_NOTES[0], OLD).await.status(), 200);
    assert_eq!(
        refused.to_string(),
        "the scopes of the client `reader` name `note` (did you mean `notes`?); this program has notes, notes/short, copies"
    );
}
