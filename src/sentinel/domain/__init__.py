"""Facts, judgement and words: pure Python, no input or output, no clock, no event loop."""
