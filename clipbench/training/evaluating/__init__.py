"""The evaluation of a learner: features, ranks, accuracies, and the pictures that it keeps."""
