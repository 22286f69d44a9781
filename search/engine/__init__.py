"""The search itself: state, events, rules, proposals. It knows neither torch nor Ray nor any backend."""
