"""The leaderboard: devices ranked on each case, as one static page with the results that it links to."""
