"""What happened, as events: their types, the files a run leaves behind, and the trees they fold into."""
