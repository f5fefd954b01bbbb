"""The judgement of ``compare`` in words: to the screen, to files, to CI servers. One module for each format."""
