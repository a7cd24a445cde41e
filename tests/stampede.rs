//! Two hundred entries at once while the model is dead: all are stored, by the word list, and next to nobody waits for the dead.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::client::{Caller, fresh_word};
use crate::model::Reply;
use crate::sentiment::{HAPPY_AND_SAD, check_lexicon};
use crate::stage::{Instance, Stage};

tests![
    a_stampede_against_a_model_that_refuses_waits_for_nothing,
    a_stampede_against_a_model_left_alone_waits_for_nothing,
    a_stampede_against_a_model_that_hangs_costs_few_of_its_calls,
];

const ENTRIES: usize = 200;
/// A machine so busy that Redis does not answer in time makes some instances ask that should not.
const STRAY: usize = ENTRIES / 10;
/// `github_timeout_ms` here, in seconds: longer than everything else together.
const TIMEOUT: Duration = Duration::from_secs(15);

/// One at a time: together they would only show how busy this machine can be.
static QUIET: Mutex<()> = Mutex::const_new(());

fn settings(timeout: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("github_timeout_ms", timeout),
        ("register_limit", "off"),
        ("login_limit", "off"),
    ]
}

async fn ten_users(instance: &Instance) -> Vec<Caller> {
    join_all((0..10).map(|_| instance.service.user())).await
}

/// Has all entries written at once; gives how many of them took longer than the model may.
async fn stampede(users: &[Caller], word: &str) -> usize {
    let writes = (0..ENTRIES).map(|number| {
        let user = &users[number % users.len()];
        let draft = json!({"content": format!("{HAPPY_AND_SAD} {word} {number}.")});
        async move {
            let start = Instant::now();
            let answer = user.post("/diaries", &draft).await;
            check_lexicon(&answer.expect(201).json());
            start.elapsed()
        }
    });
    let times = join_all(writes).await;
    times.iter().filter(|time| **time >= TIMEOUT).count()
}

async fn a_stampede_against_a_model_that_refuses_waits_for_nothing(stage: &Stage) {
    let _quiet = QUIET.lock().await;
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let address = listener.and_then(|listener| listener.local_addr());
    // Nobody listens there any more.
    let dead = format!("http://{}", address.expect("a free port"));
    let mut settings = settings("15000");
    settings.push(("github_models_host", &dead));
    let instance = stage.new_instance(&settings).await;
    let users = ten_users(&instance).await;
    assert_eq!(stampede(&users, &fresh_word("zebra")).await, 0);
    let log = instance.log_with(&["takes over for 10 s"]).await;
    let lines = log.lines().filter(|line| line.contains("\"sentiment\""));
    assert!(lines.count() <= STRAY, "not a line for each: {log}");
    instance.app.stop().await;
}

async fn a_stampede_against_a_model_left_alone_waits_for_nothing(stage: &Stage) {
    let _quiet = QUIET.lock().await;
    let instance = stage.new_instance(&settings("15000")).await;
    let users = ten_users(&instance).await;
    for _ in 0..3 {
        let word = fresh_word("zebra");
        stage.model.when(&word, Reply::Status(500, None));
        users[0].write(&format!("{HAPPY_AND_SAD} {word}.")).await;
    }
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Never);
    let late = stampede(&users, &word).await;
    let asked = stage.model.asked(&word).len();
    assert!(asked <= STRAY, "asked {asked} times");
    assert!(late <= asked, "{late} waited, {asked} asked");
    instance.app.stop().await;
}

async fn a_stampede_against_a_model_that_hangs_costs_few_of_its_calls(stage: &Stage) {
    let _quiet = QUIET.lock().await;
    let instance = stage.new_instance(&settings("2000")).await;
    let users = ten_users(&instance).await;
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Never);
    stampede(&users, &word).await;
    let asked = stage.model.asked(&word).len();
    assert!((3..=64 + STRAY).contains(&asked), "asked {asked} times");
    // Now it is known to hang.
    stampede(&users, &word).await;
    let again = stage.model.asked(&word).len() - asked;
    assert!(again <= STRAY, "asked {again} times more");
    instance.app.stop().await;
}
