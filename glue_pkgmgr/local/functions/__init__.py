"""The stand-in for AWS Lambda: functions of Python zips, each call of one a process of its own."""
