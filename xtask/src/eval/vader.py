"""Reads a JSON list of texts and prints the list of their polarities, by VADER and its own thresholds."""

import json
import sys

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

analyzer = SentimentIntensityAnalyzer()


def polarity(text):
    compound = analyzer.polarity_scores(text)["compound"]
    if compound >= 0.05:
        return "positive"
    return "negative" if compound <= -0.05 else "neutral"


json.dump([polarity(text) for text in json.load(sys.stdin)], sys.stdout)
