"""Topics of SNS and alarms of CloudWatch: they are kept, and nothing ever rings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glue_pkgmgr.local.cloudformation.kinds.kind import (
    Exists,
    Kind,
    Made,
    Wanted,
    absent_is_fine,
    document,
    is_there,
    tag_list,
)


class Topic(Kind):
    """AWS::SNS::Topic."""

    named_by = "TopicName"
    keeps = frozenset({"DisplayName", "KmsMasterKeyId"})
    replacing = frozenset({"TopicName", "FifoTopic"})
    longest_name = 256

    def create(self, wanted: Wanted) -> Made:
        """Make a topic; CreateTopic answers with the one that is there."""
        sns, arn = wanted.client("sns"), wanted.arn("sns", wanted.name)
        if is_there(sns.get_topic_attributes, TopicArn=arn):
            raise Exists(wanted.name)
        sns.create_topic(Name=wanted.name, Tags=tag_list(wanted.properties))
        return self.update(wanted, arn)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change what is shown of it and its key."""
        for name in sorted(self.keeps & wanted.properties.keys()):
            wanted.client("sns").set_topic_attributes(
                TopicArn=physical, AttributeName=name, AttributeValue=str(wanted.properties[name])
            )
        return Made(id=physical, attributes={"TopicArn": physical, "TopicName": wanted.name})

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a topic."""
        with absent_is_fine():
            wanted.client("sns").delete_topic(TopicArn=physical)


class TopicPolicy(Kind):
    """AWS::SNS::TopicPolicy."""

    keeps = frozenset({"PolicyDocument", "Topics"})
    replacing = frozenset({"Topics"})

    def create(self, wanted: Wanted) -> Made:
        """Give topics a policy."""
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Give topics another policy."""
        for topic in wanted.properties["Topics"]:
            wanted.client("sns").set_topic_attributes(
                TopicArn=topic,
                AttributeName="Policy",
                AttributeValue=document(wanted.properties["PolicyDocument"]),
            )
        return Made(id=physical)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Leave the policy: a topic has one always, and goes with the stack."""


class Alarm(Kind):
    """AWS::CloudWatch::Alarm. Its properties are the members of PutMetricAlarm."""

    named_by = "AlarmName"
    replacing = frozenset({"AlarmName"})
    longest_name = 255

    def left_out(self, properties: Mapping[str, Any]) -> list[str]:
        """Return nothing: an alarm is kept as it is."""
        return []

    def create(self, wanted: Wanted) -> Made:
        """Make an alarm; PutMetricAlarm would replace one of that name."""
        if wanted.client("cloudwatch").describe_alarms(AlarmNames=[wanted.name])["MetricAlarms"]:
            raise Exists(wanted.name)
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Replace an alarm."""
        arguments = wanted.only(
            "cloudwatch", "PutMetricAlarmInput", AlarmName=physical, Tags=tag_list(wanted.properties)
        )
        wanted.client("cloudwatch").put_metric_alarm(**arguments)
        return Made(id=physical, attributes={"Arn": wanted.arn("cloudwatch", f"alarm:{physical}")})

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove an alarm."""
        wanted.client("cloudwatch").delete_alarms(AlarmNames=[physical])
