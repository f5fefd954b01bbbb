"""The HTML report: one page that needs nothing but a browser, and a picture of each of its charts."""
