drop function diary_trend(integer, text, date, date, text);
