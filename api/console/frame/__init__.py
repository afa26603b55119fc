"""What every page stands in: the layout, who visits, words and marks."""
