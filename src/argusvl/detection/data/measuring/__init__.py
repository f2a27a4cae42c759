"""What a data set is like as a whole: its pictures, labels and languages, and how many tokens its records take."""
