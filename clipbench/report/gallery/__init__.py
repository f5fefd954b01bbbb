"""What results retrieved, as a section of the page: queries with their answers, score histograms, similarity."""
