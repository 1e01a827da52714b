# The demo's events: what an administrator did in the last minute. $id makes them this run's own.
def event($n; $service; $name; $more): {
    eventId: "\($id)-\($n)", eventVersion: "1", eventType: "ApiCall", eventName: $name, serviceName: $service,
    eventTime: (now - 60 + $n | floor | todate), eventSource: "\($service | ascii_downcase).\($region).aliyuncs.com",
    acsRegion: $region, requestId: "\($id)-\($n)", recipientAccountId: $account,
    userIdentity: { type: "ram-user", accountId: $account, principalId: "200000000000000011", userName: "alice",
        accessKeyId: "LTAI-demo" },
    sourceIpAddress: "203.0.113.10", userAgent: "trailbus-demo/1.0"
} + $more;

event(1; "Ecs"; "RunInstances"; { apiVersion: "2014-05-26",
    requestParameters: { InstanceType: "ecs.g7.large", Amount: 1, Password: "this-must-not-be-seen" },
    responseElements: { InstanceIdSets: { InstanceIdSet: ["i-demo0001"] } },
    referencedResources: { "ACS::ECS::Instance": ["i-demo0001"] } }),
event(2; "Ecs"; "DescribeInstances"; { apiVersion: "2014-05-26", requestParameters: { PageSize: 10 } }),
event(3; "Vpc"; "CreateVpc"; { apiVersion: "2016-04-28", requestParameters: { CidrBlock: "10.0.0.0/8" },
    referencedResources: { "ACS::VPC::VPC": ["vpc-demo0001"] } }),
event(4; "Rds"; "DeleteDBInstance"; { apiVersion: "2014-08-15", errorCode: "Forbidden.RAM",
    errorMessage: "alice is not authorized to do this.", requestParameters: { DBInstanceId: "rm-demo0001" },
    referencedResources: { "ACS::RDS::DBInstance": ["rm-demo0001"] } }),
event(5; "Ecs"; "StopInstance"; { apiVersion: "2014-05-26",
    requestParameters: { InstanceId: "i-demo0001", ForceStop: false },
    referencedResources: { "ACS::ECS::Instance": ["i-demo0001"] } }),
event(6; "Ram"; "CreateUser"; { apiVersion: "2015-05-01", eventSource: "ram.aliyuncs.com",
    requestParameters: { UserName: "bob" }, referencedResources: { "ACS::RAM::User": ["bob"] } })
