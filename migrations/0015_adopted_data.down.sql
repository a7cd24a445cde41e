-- Nothing to undo: the data is as valid for the steps before.
select;
