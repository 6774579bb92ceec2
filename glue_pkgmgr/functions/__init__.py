"""What runs in AWS Lambda, a module for each function."""
