"""What is said in sounds and videos and written in pictures, as lines of text, and as segments that are searched."""
