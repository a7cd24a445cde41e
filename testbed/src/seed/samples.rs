//! The texts of the sample diaries, and their ages.

/// A diary, as the table holds it.
pub(super) struct Sample {
    pub(super) content: String,
    /// The content with the emotional phrases marked.
    pub(super) html: String,
    pub(super) positive: i32,
    pub(super) negative: i32,
    pub(super) minutes_ago: i32,
}

/// One diary a line. Emotional phrases are in braces with their sign; no character needs escaping in HTML.
const TEXTS: &str = include_str!("samples.txt");

/// Returns `count` diaries, newest first: one about every two days, at different hours.
pub(super) fn diaries(count: usize) -> impl Iterator<Item = Sample> {
    // A step of 5 over 18 texts visits all of them before one is repeated.
    let texts = TEXTS.lines().cycle().step_by(5);
    texts.take(count).zip(0_i32..).map(|(text, number)| {
        let hour = number * 7 % 11;
        sample(text, 90 + number * 2 * 24 * 60 + hour * 60)
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
        // Every second part is in braces.
        if index % 2 == 0 {
            sample.content += part;
            sample.html += part;
            continue;
        }
        let (sign, phrase) = part.split_at(1);
        let (class, count) = match sign {
            "+" => ("positive", &mut sample.positive),
            _ => ("negative", &mut sample.negative),
        };
        *count += 1;
        sample.content += phrase;
        sample.html += &format!("<span class=\"{class}\">{phrase}</span>");
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_counts_phrases() {
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
    fn the_texts_meet_the_rules_for_entries() {
        for text in TEXTS.lines() {
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
    fn has_all_sentiments_and_covers_months() {
        let diaries: Vec<Sample> = diaries(90).collect();
        let sentiments =
            |of: fn(&Sample) -> bool| diaries.iter().filter(|sample| of(sample)).count();
        assert!(sentiments(|sample| sample.positive > sample.negative) >= 20);
        assert!(sentiments(|sample| sample.positive < sample.negative) >= 15);
        assert!(sentiments(|sample| sample.positive == sample.negative) >= 15);
        assert!(
            diaries
                .windows(2)
                .all(|pair| pair[0].minutes_ago < pair[1].minutes_ago)
        );
        assert!(diaries.last().unwrap().minutes_ago > 150 * 24 * 60);
    }
}
