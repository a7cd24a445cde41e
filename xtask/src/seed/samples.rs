//! The texts of the sample diaries, and when they were written.

/// A diary as the table holds it.
pub(super) struct Sample {
    pub(super) content: String,
    /// The content with the feelings marked.
    pub(super) html: String,
    pub(super) positive: i32,
    pub(super) negative: i32,
    /// Its age.
    pub(super) minutes_ago: i32,
}

/// Feelings stand in braces, with their sign. No character needs escaping in HTML.
const TEXTS: [&str; 18] = [
    "A {+lovely} morning: coffee on the balcony, and for once no hurry. I feel {+calm}.",
    "The review went {-badly}. I was {-nervous}, talked too fast and forgot the one point that mattered.",
    "Long walk along the river with Mia. We {+laughed} like years ago.",
    "Wrote the shopping list, paid two bills, answered the letter from the insurance.",
    "Slept four hours. {-Tired} and {-irritable} all day, and I snapped at Tom, which I regret.",
    "Got the job! {+Thrilled}, and a little {-scared} of the move. Called Mum first; she was so {+proud}.",
    "Rain from morning to night. Sorted the photos of 2019 into folders.",
    "Dinner burned, the guests came early, and still it became a {+wonderful} evening.",
    "I miss Grandpa. The garden looks {-empty} without him, and I felt {-lonely} there.",
    "Ran ten kilometres without a break for the first time. {+Proud} of these legs.",
    "Train cancelled, bus late, meeting missed. {-Angry} at everything, then just {-sad}.",
    "Therapy again. {-Hard} questions, but I left {+hopeful}.",
    "Took the bus at 8:10, worked until 5, cooked rice, read thirty pages.",
    "Anna forgave me. I am so {+grateful} and so {+relieved} that I could sing.",
    "Another rejection. It was a {-disappointing} letter, and I do not know what to change.",
    "Quiet Sunday. {+Enjoyed} the silence, the tea and a {+good} book.",
    "The doctor says it is nothing. All that {-worry} for nothing; what a {+relief}.",
    "Moved the desk to the window and labelled the boxes in the cellar.",
];

/// `count` diaries, newest first: one every two days or so, at different hours.
pub(super) fn diaries(count: usize) -> impl Iterator<Item = Sample> {
    (0..count).zip(0_i32..).map(|(index, number)| {
        let hour = number * 7 % 11;
        sample(
            TEXTS[index * 5 % TEXTS.len()],
            90 + number * 2 * 24 * 60 + hour * 60,
        )
    })
}

fn sample(text: &str, minutes_ago: i32) -> Sample {
    let mut sample = Sample {
        content: String::new(),
        html: String::new(),
        positive: 0,
        negative: 0,
        minutes_ago,
    };
    for (index, part) in text.split(['{', '}']).enumerate() {
        // Every second part stood in braces.
        if index % 2 == 0 {
            sample.content.push_str(part);
            sample.html.push_str(part);
            continue;
        }
        let (class, count, phrase) = match part.strip_prefix('+') {
            Some(phrase) => ("positive", &mut sample.positive, phrase),
            None => (
                "negative",
                &mut sample.negative,
                part.trim_start_matches('-'),
            ),
        };
        *count += 1;
        sample.content.push_str(phrase);
        sample
            .html
            .push_str(&format!("<span class=\"{class}\">{phrase}</span>"));
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feelings_are_marked_and_counted() {
        let sample = sample("A {+good} day after a {-bad} {-night}.", 5);
        assert_eq!(sample.content, "A good day after a bad night.");
        assert_eq!(
            sample.html,
            "A <span class=\"positive\">good</span> day after a \
             <span class=\"negative\">bad</span> <span class=\"negative\">night</span>."
        );
        assert_eq!((sample.positive, sample.negative), (1, 2));
    }

    #[test]
    fn the_texts_are_fit_for_the_table() {
        for text in TEXTS {
            let sample = sample(text, 0);
            assert!(sample.content.len() >= 10, "{text}");
            assert!(
                !sample
                    .content
                    .contains(['{', '}', '<', '>', '&', '"', '\'']),
                "{text}"
            );
        }
    }

    #[test]
    fn all_moods_occur_and_months_pass() {
        let diaries: Vec<Sample> = diaries(90).collect();
        let moods = |of: fn(&Sample) -> bool| diaries.iter().filter(|sample| of(sample)).count();
        assert!(moods(|sample| sample.positive > sample.negative) >= 20);
        assert!(moods(|sample| sample.positive < sample.negative) >= 15);
        assert!(moods(|sample| sample.positive == sample.negative) >= 15);
        assert!(
            diaries
                .windows(2)
                .all(|pair| pair[0].minutes_ago < pair[1].minutes_ago)
        );
        assert!(diaries.last().unwrap().minutes_ago > 150 * 24 * 60);
    }
}
