"""What is done to a whole store, by whoever runs it: made, checked, copied, moved, restored, sealed anew."""
