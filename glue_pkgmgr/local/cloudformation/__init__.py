"""The stand-in for CloudFormation: stacks whose resources are really made in the stand-in, where it knows them."""
