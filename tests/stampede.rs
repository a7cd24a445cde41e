//! Two hundred entries at once while the model is dead: all are stored, by the word list, and nobody waits for the dead.

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Method;
use serde_json::json;
use tokio::net::TcpListener;

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
/// More than the stampedes may take, though somebody waited for the model.
const LONG: Duration = Duration::from_secs(15);
const SETTINGS: [(&str, &str); 3] = [
    ("github_timeout_ms", "15000"),
    ("register_limit", "off"),
    ("login_limit", "off"),
];

/// Has all entries written at once by ten users; gives how long that took.
async fn stampede(users: &[Caller], word: &str) -> Duration {
    let writes = (0..ENTRIES).map(|number| {
        let user = &users[number % users.len()];
        let draft = json!({"content": format!("{HAPPY_AND_SAD} {word} {number}.")});
        async move {
            user.call(Method::POST, "/diaries")
                .json(&draft)
                .send()
                .await
        }
    });
    let start = Instant::now();
    let answers = join_all(writes).await;
    let took = start.elapsed();
    for answer in answers {
        check_lexicon(&answer.expect(201).json());
    }
    took
}

async fn ten_users(instance: &Instance) -> Vec<Caller> {
    join_all((0..10).map(|_| instance.service.user())).await
}

async fn a_stampede_against_a_model_that_refuses_waits_for_nothing(stage: &Stage) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let dead = format!("http://{address}");
    let mut settings = SETTINGS.to_vec();
    settings.push(("github_models_host", &dead));
    let instance = stage.new_instance(&settings).await;
    let users = ten_users(&instance).await;
    let took = stampede(&users, &fresh_word("zebra")).await;
    assert!(took < LONG, "{took:?}");
    let log = instance.log_with(&["takes over for 10 s"]).await;
    let warned = log.lines().filter(|line| line.contains("\"sentiment\""));
    assert!(warned.count() <= 3, "not a line for each: {log}");
    instance.app.stop().await;
}

async fn a_stampede_against_a_model_left_alone_waits_for_nothing(stage: &Stage) {
    let instance = stage.new_instance(&SETTINGS).await;
    let users = ten_users(&instance).await;
    for _ in 0..3 {
        let word = fresh_word("zebra");
        stage.model.when(&word, Reply::Status(500, None));
        users[0].write(&format!("{HAPPY_AND_SAD} {word}.")).await;
    }
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Never);
    let took = stampede(&users, &word).await;
    // The pause is ten seconds, after which one of them may try.
    assert!(stage.model.asked(&word).len() <= 1);
    assert!(took < LONG, "{took:?}");
    instance.app.stop().await;
}

async fn a_stampede_against_a_model_that_hangs_costs_few_of_its_calls(stage: &Stage) {
    let mut settings = SETTINGS.to_vec();
    settings[0].1 = "2000";
    let instance = stage.new_instance(&settings).await;
    let users = ten_users(&instance).await;
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Never);
    stampede(&users, &word).await;
    let asked = stage.model.asked(&word).len();
    assert!((3..=64).contains(&asked), "asked {asked} times");
    // Now it is known to hang.
    stampede(&users, &word).await;
    assert!(stage.model.asked(&word).len() <= asked + 1);
    instance.app.stop().await;
}
